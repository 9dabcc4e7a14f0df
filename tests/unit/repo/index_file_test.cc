// SPDX-License-Identifier: MIT
#include "repo/index_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/error.h"
#include "support/index_material.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::numbered_id;
using test::packed;

const Id kFile = numbered_id(1);
const std::string kPack = numbered_id(2).hex();
const std::string kBlob = numbered_id(3).hex();

IndexSegmentPtr parse(const std::string& json, unsigned version = 2) {
  IndexFileParser parser;
  Bytes bytes(json.begin(), json.end());
  return parser.parse(kFile, bytes, version);
}

Errc parse_error(const std::string& json, unsigned version = 2) {
  try {
    parse(json, version);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("index/" + kFile.hex() + ": ")) << json;
    return error.code();
  }
  ADD_FAILURE() << "no error: " << json;
  return Errc::Io;
}

// A file of one pack whose blobs are `blobs`.
std::string one_pack(const std::string& blobs) {
  return R"({"packs":[{"id":")" + kPack + R"(","blobs":[)" + blobs + "]}]}";
}
std::string blob(const std::string& members) { return R"({"id":")" + kBlob + R"(",)" + members + "}"; }

TEST(IndexFile, ReadsEveryIndexThatResticWrote) {
  for (const test::MiniRepo& repo : test::MiniRepo::all()) {
    std::size_t blobs = 0, expected = 0;
    for (const test::Json& index : repo.facts["indexes"].items()) {
      const std::string json = index["plaintext"].text();
      const IndexSegmentPtr segment = parse(json, repo.format_version);
      blobs += segment->blob_count();
      for (const test::Json& pack : repo.facts["packs"].items()) {
        for (std::uint32_t i = 0; i < segment->pack_count(); ++i) {
          if (segment->pack_id(i) != pack["id"].id()) continue;
          const auto range = segment->blobs_of(i);
          const auto entries = pack["header_entries"].items();
          ASSERT_EQ(range.end - range.begin, entries.size());
          for (std::uint32_t j = 0; j < entries.size(); ++j) {
            const PackedBlob found = segment->blob(range.begin + j);
            EXPECT_EQ(found.key.id, entries[j]["id"].id());
            EXPECT_EQ(found.offset, entries[j]["offset"].number());
            EXPECT_EQ(found.key.type == BlobType::Tree, entries[j]["type_byte"].number() % 2 == 1);
            EXPECT_EQ(found.uncompressed_length != 0, entries[j]["type_byte"].number() >= 2);
          }
        }
      }
    }
    for (const test::Json& pack : repo.facts["packs"].items())
      expected += pack["header_entries"].items().size();
    EXPECT_EQ(blobs, expected) << repo.written_by;
  }
}

TEST(IndexFile, WritesWhatResticWrites) {
  const std::vector<PackEntry> packs = {
      {.pack = numbered_id(2), .blobs = {packed(3, 0, 40), packed(4, 40, 50, BlobType::Tree, 99)}},
      {.pack = numbered_id(5), .blobs = {packed(6, 7, 4294967280U)}}};
  EXPECT_EQ(encode_index_file(packs),
            R"({"packs":[{"id":")" + kPack + R"(","blobs":[{"id":")" + kBlob +
                R"(","type":"data","offset":0,"length":40},{"id":")" + numbered_id(4).hex() +
                R"(","type":"tree","offset":40,"length":50,"uncompressed_length":99}]},{"id":")" +
                numbered_id(5).hex() + R"(","blobs":[{"id":")" + numbered_id(6).hex() +
                R"(","type":"data","offset":7,"length":4294967280}]}]})" + "\n");
  EXPECT_EQ(encode_index_file({}), "{\"packs\":[]}\n");
}

TEST(IndexFile, ReadsBackWhatItWrites) {
  std::mt19937_64 random(1);
  const std::vector<PackEntry> packs = test::random_packs(random, 100, 20, 30);
  const IndexSegmentPtr segment = parse(encode_index_file(packs));
  ASSERT_EQ(segment->pack_count(), packs.size());
  EXPECT_EQ(segment->file(), kFile);
  std::uint64_t plain = 0, stored = 0;
  for (std::uint32_t i = 0; i < packs.size(); ++i) {
    EXPECT_EQ(segment->pack_id(i), packs[i].pack);
    const auto range = segment->blobs_of(i);
    ASSERT_EQ(range.end - range.begin, packs[i].blobs.size());
    for (std::uint32_t j = 0; j < packs[i].blobs.size(); ++j) {
      const PackedBlob& expected = packs[i].blobs[j];
      const PackedBlob found = segment->blob(range.begin + j);
      EXPECT_EQ(found.key, expected.key);
      EXPECT_EQ(found.offset, expected.offset);
      EXPECT_EQ(found.length, expected.length);
      EXPECT_EQ(found.uncompressed_length, expected.uncompressed_length);
      EXPECT_EQ(segment->pack_of(range.begin + j), i);
      plain += expected.plain_size();
      stored += expected.length;
    }
  }
  EXPECT_EQ(segment->total_plain_bytes(), plain);
  EXPECT_EQ(segment->total_stored_bytes(), stored);
}

TEST(IndexFile, SortsThePackByOffset) {
  const std::string later =
      R"({"id":")" + numbered_id(9).hex() + R"(","type":"tree","offset":500,"length":40})";
  const IndexSegmentPtr segment =
      parse(one_pack(later + "," + blob(R"("type":"data","offset":100,"length":50)")));
  ASSERT_EQ(segment->blob_count(), 2U);
  EXPECT_EQ(segment->blob(0).key, (BlobKey{.type = BlobType::Data, .id = numbered_id(3)}));
  EXPECT_EQ(segment->blob(1).key, (BlobKey{.type = BlobType::Tree, .id = numbered_id(9)}));
}

TEST(IndexFile, CountsABlobThatIsListedTwiceOnce) {
  const std::string twice = blob(R"("type":"data","offset":100,"length":50)");
  const std::string first =
      R"({"id":")" + numbered_id(9).hex() + R"(","type":"data","offset":0,"length":100})";
  const IndexSegmentPtr segment = parse(one_pack(twice + "," + first + "," + twice));
  EXPECT_EQ(segment->blob_count(), 2U);
  EXPECT_EQ(segment->total_stored_bytes(), 150U);
  EXPECT_EQ(segment->total_plain_bytes(), 150U - 2 * 32U);
}

TEST(IndexFile, UnderstandsEveryFormOfNothing) {
  for (const char* json :
       {"{}", R"({"packs":null})", R"({"packs":[]})", "[]", "{\"packs\":[]}\n",
        R"({"supersedes":["x"],"packs":[]})", R"({"future":{"packs":[1,[2]]},"packs":null})"}) {
    EXPECT_EQ(parse(json)->blob_count(), 0U) << json;
  }
  const std::string pack = R"({"packs":[{"id":")" + kPack + "\"";
  for (const char* rest : {"}]}", R"(,"blobs":null}]})", R"(,"blobs":[]}]})"}) {
    EXPECT_EQ(parse(pack + rest)->pack_count(), 0U) << rest;
  }
}

TEST(IndexFile, ReadsTheBareArrayOfOldRepositories) {
  const std::string json = one_pack(blob(R"("type":"data","offset":0,"length":50)"));
  const std::string array = json.substr(json.find('['), json.rfind(']') - json.find('[') + 1);
  EXPECT_EQ(parse(array, 1)->blob_count(), 1U);
}

TEST(IndexFile, IgnoresUnknownMembersAndTheirOrder) {
  const std::string json = R"({"packs":[{"blobs":[{"length":50,"x":{"id":[{}]},"type":"data","id":")" +
                           kBlob + R"(","offset":7}],"y":null,"id":")" + kPack + R"("}],"z":1})";
  const IndexSegmentPtr segment = parse(json);
  EXPECT_EQ(segment->blob(0).offset, 7U);
  EXPECT_EQ(segment->pack_id(0), numbered_id(2));
}

TEST(IndexFile, TakesTheLargestPlaceThatFits) {
  EXPECT_EQ(parse(one_pack(blob(R"("type":"data","offset":4294967000,"length":295)")))->blob(0).offset,
            4294967000U);
  const std::string largest =
      blob(R"("type":"tree","offset":0,"length":50,"uncompressed_length":2147483647)");
  EXPECT_EQ(parse(one_pack(largest))->blob(0).uncompressed_length, 2147483647U);
  EXPECT_EQ(parse(one_pack(largest))->blob(0).key.type, BlobType::Tree);
}

TEST(IndexFile, RefusesImpossiblePlaces) {
  for (const char* members :
       {R"("type":"data","offset":0,"length":31)", R"("type":"data","offset":0,"length":0)",
        R"("type":"data","offset":0)", R"("type":"data","offset":0,"length":4294967296)",
        R"("type":"data","offset":4294967296,"length":32)",
        R"("type":"data","offset":4294967000,"length":296)",
        R"("type":"data","offset":18446744073709551615,"length":18446744073709551615)",
        R"("type":"data","offset":18446744073709551616,"length":32)",
        R"("type":"data","offset":-1,"length":32)", R"("type":"data","offset":1.5,"length":32)",
        R"("type":"data","offset":"1","length":32)", R"("type":"data","offset":1e1,"length":32)",
        R"("type":"data","offset":0,"length":32,"uncompressed_length":2147483648)",
        R"("type":"data","offset":0,"length":2147483680)"}) {
    EXPECT_EQ(parse_error(one_pack(blob(members))), Errc::Damaged);
  }
}

TEST(IndexFile, RefusesUnknownAndMissingMembers) {
  const char* place = R"("offset":0,"length":50)";
  EXPECT_EQ(parse_error(one_pack(blob(std::string(R"("type":"snapshot",)") + place))), Errc::Damaged);
  EXPECT_EQ(parse_error(one_pack(blob(std::string(R"("type":"",)") + place))), Errc::Damaged);
  EXPECT_EQ(parse_error(one_pack(blob(std::string(R"("type":1,)") + place))), Errc::Damaged);
  EXPECT_EQ(parse_error(one_pack(blob(place))), Errc::Damaged);
  EXPECT_EQ(parse_error(one_pack(R"({"type":"data","offset":0,"length":50})")), Errc::Damaged);
  const std::string no_pack_id =
      R"({"packs":[{"blobs":[)" + blob(R"("type":"data","offset":0,"length":50)") + "]}]}";
  EXPECT_EQ(parse_error(no_pack_id), Errc::Damaged);
}

TEST(IndexFile, RefusesIdsThatAreNotIds) {
  const std::string good = one_pack(blob(R"("type":"data","offset":0,"length":50)"));
  const auto with_pack_id = [&](const std::string& id) {
    std::string json = good;
    return json.replace(json.find(kPack), kPack.size(), id);
  };
  EXPECT_EQ(parse_error(with_pack_id(std::string(64, '0'))), Errc::Damaged);
  EXPECT_EQ(parse_error(with_pack_id("")), Errc::Damaged);
  EXPECT_EQ(parse_error(with_pack_id(kPack.substr(1))), Errc::Damaged);
  EXPECT_EQ(parse_error(with_pack_id(kPack + "0")), Errc::Damaged);
  EXPECT_EQ(parse_error(with_pack_id("g" + kPack.substr(1))), Errc::Damaged);
  EXPECT_EQ(parse_error(R"({"packs":[{"id":")"), Errc::Damaged);
  EXPECT_EQ(parse_error(R"({"packs":[{"id":""}]})"), Errc::Damaged);
}

TEST(IndexFile, RefusesBlobsThatOverlap) {
  const std::string other =
      R"({"id":")" + numbered_id(9).hex() + R"(","type":"data","offset":149,"length":40})";
  const std::string json = one_pack(other + "," + blob(R"("type":"data","offset":100,"length":50)"));
  EXPECT_EQ(parse_error(json), Errc::Damaged);
}

TEST(IndexFile, RefusesWhatIsNotOneJsonDocument) {
  for (const char* json :
       {"", " ", "null", "7", "\"packs\"", "{", R"({"packs":[})", R"({"packs":{}})", R"({"packs":[1]})",
        R"({"packs":[]}x)", R"({"packs":[]}{"packs":[]})", R"({"packs":[null]})", "\xff\xfe"}) {
    EXPECT_EQ(parse_error(json), Errc::Damaged);
  }
}

TEST(IndexFile, RefusesCompressedBlobsInVersion1) {
  const std::string json = one_pack(blob(R"("type":"data","offset":0,"length":50,"uncompressed_length":60)"));
  EXPECT_EQ(parse_error(json, 1), Errc::Unsupported);
  EXPECT_EQ(parse(json, 2)->blob(0).plain_size(), 60U);
}

TEST(IndexFile, SurvivesTruncationAtEveryByte) {
  std::mt19937_64 random(2);
  const std::string json = encode_index_file(test::random_packs(random, 1, 2, 3));
  for (std::size_t length = 0; length + 2 < json.size(); ++length) {
    EXPECT_EQ(parse_error(json.substr(0, length)), Errc::Damaged) << length;
  }
}

TEST(IndexFile, ParserWorksOnAfterAnError) {
  IndexFileParser parser;
  const std::string bad = one_pack(blob(R"("type":"data","offset":0,"length":50)")) + "x";
  const std::string good = one_pack(blob(R"("type":"data","offset":0,"length":60)"));
  Bytes bytes(bad.begin(), bad.end());
  EXPECT_THROW(parser.parse(kFile, bytes, 2), Error);
  bytes.assign(good.begin(), good.end());
  const IndexSegmentPtr segment = parser.parse(kFile, bytes, 2);
  ASSERT_EQ(segment->blob_count(), 1U);
  EXPECT_EQ(segment->blob(0).length, 60U);
}

TEST(IndexSegment, ComesBackFromItsBlock) {
  std::mt19937_64 random(3);
  const IndexSegmentPtr segment = parse(encode_index_file(test::random_packs(random, 1, 5, 7)));
  const std::optional<IndexSegment> copy = IndexSegment::from_block(segment->block());
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->file(), kFile);
  EXPECT_EQ(copy->blob_count(), 35U);
  EXPECT_EQ(copy->total_stored_bytes(), segment->total_stored_bytes());
  EXPECT_EQ(copy->id(34), segment->id(34));
  EXPECT_EQ(copy->pack_of(34), 4U);
}

TEST(IndexSegment, RefusesBlocksThatPointOutsideThemselves) {
  std::mt19937_64 random(4);
  const Bytes block = parse(encode_index_file(test::random_packs(random, 1, 3, 2)))->block();
  for (const std::size_t size : {std::size_t{0}, std::size_t{55}, block.size() - 1}) {
    EXPECT_FALSE(
        IndexSegment::from_block(Bytes(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  constexpr std::size_t kPackCount = 32, kBlobCount = 36, kSecondPackFirst = 56 + 36 + 32,
                        kThirdPackFirst = 56 + 2 * 36 + 32;
  for (const std::size_t at :
       {kPackCount, kBlobCount, kPackCount + 3, kBlobCount + 3, kSecondPackFirst, kThirdPackFirst}) {
    Bytes changed = block;
    changed[at] = 0xff;
    EXPECT_FALSE(IndexSegment::from_block(changed)) << at;
  }
}

}  // namespace
}  // namespace restic::repo
