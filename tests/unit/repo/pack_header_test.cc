// SPDX-License-Identifier: MIT
#include "repo/pack_header.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/error.h"
#include "support/some_key.h"

namespace restic::repo {
namespace {

using test::some_crypto;

PackedBlob blob(BlobType type, std::uint8_t id, std::uint32_t offset, std::uint32_t length,
                std::uint32_t plain) {
  PackedBlob made{};
  made.key.type = type;
  made.key.id.bytes.fill(id);
  made.offset = offset;
  made.length = length;
  made.uncompressed_length = plain;
  return made;
}

const std::vector<PackedBlob> kBlobs{blob(BlobType::Data, 1, 0, 32, 0), blob(BlobType::Tree, 2, 32, 100, 0),
                                     blob(BlobType::Data, 3, 132, 50, 1000),
                                     blob(BlobType::Tree, 4, 182, 60, 7)};
constexpr std::uint64_t kBlobBytes = 242;

// A tail whose header has these plain bytes.
Bytes tail_of(const Bytes& header) {
  Bytes tail;
  some_crypto().seal(header, tail);
  const auto length = static_cast<std::uint32_t>(tail.size());
  for (const unsigned shift : {0U, 8U, 16U, 24U}) tail.push_back(static_cast<std::uint8_t>(length >> shift));
  return tail;
}

Bytes plain_header(const std::vector<PackedBlob>& blobs) {
  const Bytes tail = encode_pack_tail(some_crypto(), blobs);
  return some_crypto().open(ByteView(tail).first(tail.size() - kPackTrailerSize), "header");
}

std::vector<PackedBlob> decode_tail(const Bytes& tail, std::uint64_t blob_bytes) {
  return decode_pack_tail(some_crypto(), tail, blob_bytes + tail.size(), "data/ab");
}

void expect_damaged(const std::function<void()>& action) {
  try {
    action();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_TRUE(std::string(error.what()).starts_with("data/ab: ")) << error.what();
  }
}

TEST(PackHeader, AllFourEntryTypesGoThereAndBack) {
  const Bytes tail = encode_pack_tail(some_crypto(), kBlobs);
  EXPECT_EQ(tail.size(), 2 * kPlainEntrySize + 2 * kCompressedEntrySize + kSealOverhead + kPackTrailerSize);
  const std::vector<PackedBlob> decoded = decode_tail(tail, kBlobBytes);
  ASSERT_EQ(decoded.size(), kBlobs.size());
  for (std::size_t i = 0; i < kBlobs.size(); ++i) {
    EXPECT_EQ(decoded[i].key, kBlobs[i].key);
    EXPECT_EQ(decoded[i].offset, kBlobs[i].offset);
    EXPECT_EQ(decoded[i].length, kBlobs[i].length);
    EXPECT_EQ(decoded[i].uncompressed_length, kBlobs[i].uncompressed_length);
  }
}

TEST(PackHeader, TypeBytesAreRestics) {
  const Bytes header = plain_header(kBlobs);
  EXPECT_EQ(header[0], 0);
  EXPECT_EQ(header[kPlainEntrySize], 1);
  EXPECT_EQ(header[2 * kPlainEntrySize], 2);
  EXPECT_EQ(header[2 * kPlainEntrySize + kCompressedEntrySize], 3);
}

TEST(PackHeader, RefusesAGapOrBytesTooMany) {
  const Bytes tail = encode_pack_tail(some_crypto(), kBlobs);
  expect_damaged([&] { decode_tail(tail, kBlobBytes + 1); });
  expect_damaged([&] { decode_tail(tail, kBlobBytes - 1); });
}

TEST(PackHeader, RefusesUnknownTypes) {
  Bytes header = plain_header(kBlobs);
  header[0] = 4;
  expect_damaged([&] { decode_tail(tail_of(header), kBlobBytes); });
}

TEST(PackHeader, RefusesEveryCutHeader) {
  const Bytes header = plain_header(kBlobs);
  for (std::size_t size = 0; size < header.size(); ++size) {
    expect_damaged([&] {
      decode_tail(tail_of(Bytes(header.begin(), header.begin() + static_cast<long>(size))), kBlobBytes);
    });
  }
}

TEST(PackHeader, RefusesImpossibleLengths) {
  Bytes header = plain_header(kBlobs);
  header[1] = 31;  // less than any sealed object
  expect_damaged([&] { decode_tail(tail_of(header), kBlobBytes - 1); });

  header = plain_header(kBlobs);
  const std::size_t uncompressed = 2 * kPlainEntrySize + 5;
  header[uncompressed] = header[uncompressed + 1] = 0;  // a compressed blob of no bytes
  expect_damaged([&] { decode_tail(tail_of(header), kBlobBytes); });
}

TEST(PackHeader, LengthsThatOverflowDoNotWrapAround) {
  Bytes header = plain_header(kBlobs);
  for (const std::size_t entry : {std::size_t{0}, kPlainEntrySize}) {
    std::fill_n(header.begin() + static_cast<long>(entry) + 1, 4, std::uint8_t{0xff});
  }
  expect_damaged([&] { decode_tail(tail_of(header), kBlobBytes); });
}

TEST(PackHeader, ChecksTheLengthOfTheHeaderBeforeAnythingElse) {
  const auto size_of = [](std::uint32_t length, std::uint64_t pack_size) {
    Bytes trailer;
    for (const unsigned shift : {0U, 8U, 16U, 24U})
      trailer.push_back(static_cast<std::uint8_t>(length >> shift));
    return pack_tail_size(trailer, pack_size, "data/ab");
  };
  EXPECT_EQ(size_of(69, 1000), 73U);
  EXPECT_EQ(size_of(69, 73), 73U);
  expect_damaged([&] { size_of(0, 1000); });
  expect_damaged([&] { size_of(31, 1000); });
  expect_damaged([&] { size_of(68, 1000); });
  expect_damaged([&] { size_of(69, 72); });
  expect_damaged([&] { size_of(69, 3); });
  expect_damaged([&] { size_of((16U << 20U) + 1, 1U << 30U); });
  expect_damaged([&] { size_of(0xffffffff, 1U << 30U); });
  expect_damaged([&] { pack_tail_size(Bytes(3), 1000, "data/ab"); });
}

TEST(PackHeader, NoticesEveryFlippedBit) {
  const Bytes tail = encode_pack_tail(some_crypto(), kBlobs);
  for (std::size_t bit = 0; bit < tail.size() * 8; ++bit) {
    Bytes damaged = tail;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    expect_damaged([&] { decode_tail(damaged, kBlobBytes); });
  }
}

TEST(PackHeader, WritesOnlyWhatEveryResticReads) {
  EXPECT_THROW(encode_pack_tail(some_crypto(), {}), Error);
  const std::vector<PackedBlob> gap{blob(BlobType::Data, 1, 0, 32, 0), blob(BlobType::Data, 2, 33, 32, 0)};
  EXPECT_THROW(encode_pack_tail(some_crypto(), gap), Error);
  std::vector<PackedBlob> many;
  for (std::uint32_t i = 0; i < 409200; ++i) many.push_back(blob(BlobType::Data, 1, i * 33, 33, 1));
  EXPECT_THROW(encode_pack_tail(some_crypto(), many), Error);
  many.pop_back();
  EXPECT_EQ(decode_tail(encode_pack_tail(some_crypto(), many), 409199ULL * 33).size(), 409199U);
}

}  // namespace
}  // namespace restic::repo
