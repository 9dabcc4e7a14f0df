// SPDX-License-Identifier: MIT
#include "repo/compact_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <tuple>
#include <vector>

#include "repo/cpu_pool.h"
#include "repo/index_file.h"
#include "support/index_material.h"

namespace restic::repo {
namespace {

using test::numbered_id;
using test::packed;

IndexSegmentPtr segment_of(std::uint64_t file, const std::vector<PackEntry>& packs) {
  const std::string json = encode_index_file(packs);
  Bytes bytes(json.begin(), json.end());
  return IndexFileParser().parse(numbered_id(file), bytes, 2);
}

BlobKey data(std::uint64_t number) { return {.type = BlobType::Data, .id = numbered_id(number)}; }
BlobKey tree(std::uint64_t number) { return {.type = BlobType::Tree, .id = numbered_id(number)}; }

std::vector<BlobPlace> locate(const Index& index, const BlobKey& key) {
  std::vector<BlobPlace> places;
  index.locate(key, places);
  return places;
}

TEST(CompactIndex, AnEmptyOneKnowsNothing) {
  CpuPool pool(2);
  const CompactIndex index({}, {}, pool);
  EXPECT_FALSE(index.contains(data(1)));
  EXPECT_FALSE(index.plain_size(data(1)));
  EXPECT_TRUE(locate(index, data(1)).empty());
  EXPECT_EQ(index.blob_count(), 0U);
}

TEST(CompactIndex, TellsDataAndTreeBlobsOfOneIdApart) {
  CpuPool pool(2);
  const CompactIndex index(
      {segment_of(1, {{.pack = numbered_id(100),
                       .blobs = {packed(1, 0, 50), packed(1, 50, 60, BlobType::Tree, 99)}}})},
      {}, pool);
  EXPECT_EQ(index.blob_count(), 2U);
  EXPECT_EQ(index.plain_size(data(1)), 18U);
  EXPECT_EQ(index.plain_size(tree(1)), 99U);
  ASSERT_EQ(locate(index, tree(1)).size(), 1U);
  EXPECT_EQ(locate(index, tree(1)).front().blob.offset, 50U);
}

TEST(CompactIndex, ExactRepeatsCollapseAndOtherCopiesStay) {
  CpuPool pool(2);
  const PackEntry pack{.pack = numbered_id(100), .blobs = {packed(1, 0, 50)}};
  const PackEntry other_pack{.pack = numbered_id(101), .blobs = {packed(1, 0, 50)}};
  const PackEntry other_place{.pack = numbered_id(100), .blobs = {packed(2, 0, 40), packed(1, 60, 50)}};
  const CompactIndex index(
      {segment_of(1, {pack}), segment_of(2, {pack, other_pack}), segment_of(3, {other_place})}, {}, pool);
  EXPECT_EQ(index.blob_count(), 4U);
  const std::vector<BlobPlace> places = locate(index, data(1));
  ASSERT_EQ(places.size(), 3U);
  EXPECT_EQ(
      std::count_if(places.begin(), places.end(), [](const auto& p) { return p.pack == numbered_id(101); }),
      1);
  EXPECT_EQ(std::count_if(places.begin(), places.end(), [](const auto& p) { return p.blob.offset == 60; }),
            1);
}

TEST(CompactIndex, KeepsABoundedNumberOfCopies) {
  CpuPool pool(2);
  std::vector<PackEntry> packs;
  for (std::uint64_t i = 0; i < 20000; ++i)
    packs.push_back({.pack = numbered_id(100 + i), .blobs = {packed(1, 0, 50)}});
  const CompactIndex index({segment_of(1, packs)}, {}, pool);
  const std::size_t copies = locate(index, data(1)).size();
  EXPECT_GE(copies, CompactIndex::kMostCopies);
  EXPECT_LE(copies, CompactIndex::kMostCopies + pool.threads());
}

TEST(CompactIndex, FindsTheNeighboursInAPack) {
  CpuPool pool(2);
  const CompactIndex index(
      {segment_of(1, {{.pack = numbered_id(100), .blobs = {packed(1, 0, 50)}}}),
       segment_of(2, {{.pack = numbered_id(101), .blobs = {packed(2, 0, 50)}},
                      {.pack = numbered_id(102),
                       .blobs = {packed(3, 10, 90), packed(4, 100, 50), packed(5, 200, 50)}},
                      {.pack = numbered_id(103), .blobs = {packed(6, 0, 50)}}})},
      {}, pool);
  const std::uint32_t pack = locate(index, data(4)).front().pack_number;
  const auto numbers = [&](std::uint64_t begin, std::uint64_t end, std::size_t limit = 100) {
    std::vector<BlobPlace> blobs;
    index.in_pack(pack, begin, end, limit, blobs);
    std::vector<std::uint32_t> offsets;
    for (const BlobPlace& blob : blobs) {
      EXPECT_EQ(blob.pack, numbered_id(102));
      EXPECT_EQ(blob.pack_number, pack);
      offsets.push_back(blob.blob.offset);
    }
    return offsets;
  };
  using Offsets = std::vector<std::uint32_t>;
  EXPECT_EQ(numbers(0, 1ULL << 40U), (Offsets{10, 100, 200}));
  EXPECT_EQ(numbers(0, 1ULL << 40U, 2), (Offsets{10, 100}));
  EXPECT_EQ(numbers(0, 10), Offsets{});
  EXPECT_EQ(numbers(0, 11), Offsets{10});
  EXPECT_EQ(numbers(99, 101), (Offsets{10, 100}));
  EXPECT_EQ(numbers(100, 200), Offsets{100});
  EXPECT_EQ(numbers(150, 200), Offsets{});
  EXPECT_EQ(numbers(249, 9999), Offsets{200});
  EXPECT_EQ(numbers(250, 9999), Offsets{});
}

TEST(CompactIndex, NumbersPacksThroughAllFilesEvenEmptyOnes) {
  CpuPool pool(2);
  const CompactIndex index(
      {segment_of(1, {}), segment_of(2, {{.pack = numbered_id(100), .blobs = {packed(1, 0, 50)}}}),
       segment_of(3, {}), segment_of(4, {}),
       segment_of(5, {{.pack = numbered_id(101), .blobs = {packed(2, 0, 50)}}}), segment_of(6, {})},
      {}, pool);
  EXPECT_EQ(index.pack_count(), 2U);
  EXPECT_EQ(index.files().size(), 6U);
  for (const std::uint64_t number : {1U, 2U}) {
    const BlobPlace place = locate(index, data(number)).front();
    EXPECT_EQ(place.pack, numbered_id(99 + number));
    std::vector<BlobPlace> blobs;
    index.in_pack(place.pack_number, 0, 1000, 10, blobs);
    ASSERT_EQ(blobs.size(), 1U);
    EXPECT_EQ(blobs.front().blob.key, data(number));
  }
}

// Against the plainest model there is: a multimap of everything that was listed.
TEST(CompactIndex, AgreesWithAMapOnRandomIndexes) {
  using Place = std::tuple<Id, std::uint32_t, std::uint32_t, std::uint32_t>;
  CpuPool pool(3);
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    std::map<std::pair<BlobType, Id>, std::vector<Place>> model;
    std::vector<IndexSegmentPtr> segments;
    std::vector<PackEntry> earlier;
    std::uint64_t next = 1;
    const std::size_t files = random() % 12;
    for (std::size_t file = 0; file < files; ++file) {
      // New packs, packs repeated from earlier files, and known blobs stored again elsewhere.
      const std::size_t blobs = 1 + random() % 60;
      std::vector<PackEntry> packs = test::random_packs(random, next, random() % 30, blobs);
      next += 100 * blobs;
      for (PackEntry& pack : packs) {
        if (!earlier.empty() && random() % 4 == 0)
          pack.blobs.back().key = earlier[random() % earlier.size()].blobs[0].key;
      }
      if (!earlier.empty()) packs.push_back(earlier[random() % earlier.size()]);
      for (const PackEntry& pack : packs) {
        for (const PackedBlob& blob : pack.blobs) {
          std::vector<Place>& places = model[{blob.key.type, blob.key.id}];
          const Place place{pack.pack, blob.offset, blob.length, blob.uncompressed_length};
          if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
        }
      }
      earlier.insert(earlier.end(), packs.begin(), packs.end());
      segments.push_back(segment_of(1000 + file, packs));
    }
    const CompactIndex index(segments, {}, pool);
    std::size_t total = 0;
    for (auto& [key, expected] : model) {
      std::vector<Place> found;
      for (const BlobPlace& place : locate(index, {.type = key.first, .id = key.second})) {
        found.emplace_back(place.pack, place.blob.offset, place.blob.length, place.blob.uncompressed_length);
      }
      total += expected.size();
      std::sort(expected.begin(), expected.end());
      std::sort(found.begin(), found.end());
      ASSERT_EQ(found, expected);
    }
    EXPECT_EQ(index.blob_count(), total);
    for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_FALSE(index.contains(data((1ULL << 60U) + i)));
  }
}

TEST(CompactIndex, CostsLittleMoreThanItsEntries) {
  CpuPool pool(2);
  std::mt19937_64 random(6);
  const CompactIndex index({segment_of(1, test::random_packs(random, 1, 1000, 20))}, {}, pool);
  EXPECT_LE(index.memory_bytes(), 20000 * 52U);
}

TEST(CompactIndex, ManyThreadsMayLookUpAtOnce) {
  CpuPool pool(2);
  std::mt19937_64 random(7);
  const CompactIndex index({segment_of(1, test::random_packs(random, 1, 50, 20))}, {}, pool);
  std::vector<std::jthread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&index] {
      for (std::uint64_t i = 1; i <= 1000; ++i)
        EXPECT_TRUE(index.contains(data(i)) || index.contains(tree(i)));
    });
  }
}

}  // namespace
}  // namespace restic::repo
