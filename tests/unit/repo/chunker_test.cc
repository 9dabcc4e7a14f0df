// SPDX-License-Identifier: MIT
#include "repo/chunker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "base/error.h"
#include "repo/id.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

std::uint64_t from_hex(const std::string& digits) { return std::stoull(digits, nullptr, 16); }

Bytes repeated(std::size_t count, std::uint8_t value) {
  Bytes bytes;
  bytes.assign(count, value);
  return bytes;
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}

// The vectors describe their inputs in words; this makes them by name.
Bytes input_of(const std::string& name) {
  static const std::map<std::string, std::function<Bytes()>> kInputs = {
      {"sha32m", [] { return test::vector_stream(33554432); }},
      {"shift", [] { return joined(repeated(1, 'A'), test::vector_stream(16777216)); }},
      {"zero4m", [] { return repeated(4194304, 0); }},
      {"zero4m1", [] { return repeated(4194305, 0); }},
      {"zero_then_sha", [] { return joined(repeated(700000, 0), test::vector_stream(6291456)); }},
      {"ff20m", [] { return repeated(20971520, 0xff); }},
      {"x01_17m", [] { return repeated(17825792, 1); }},
      {"period256", [] { return counting(std::size_t{256} * 40960); }},
      {"sha_524287", [] { return test::vector_stream(524287); }},
      {"sha_524288", [] { return test::vector_stream(524288); }},
      {"sha_524289", [] { return test::vector_stream(524289); }},
  };
  return kInputs.at(name)();
}

std::vector<std::size_t> chunk_sizes(const Chunker& chunker, ByteView data) {
  std::vector<std::size_t> sizes;
  while (!data.empty()) {
    sizes.push_back(chunker.find_end(data).value_or(data.size()));
    data = data.subspan(sizes.back());
  }
  return sizes;
}

Id table_hash(const Chunker::Table& table) {
  Bytes bytes;
  for (const std::uint64_t entry : table) {
    for (unsigned byte = 0; byte < 8; ++byte) bytes.push_back(static_cast<std::uint8_t>(entry >> (8 * byte)));
  }
  return Id::of(bytes);
}

class ChunkerVectors : public testing::TestWithParam<Chunker::Means> {
 protected:
  const Json vectors_ = Json::load("chunker");
  const Chunker chunker_{from_hex(vectors_["polynomial"].text()), GetParam()};

  Bytes without_ends(std::size_t size) const;
};

INSTANTIATE_TEST_SUITE_P(ByAllMeans, ChunkerVectors,
                         testing::Values(Chunker::Means::Best, Chunker::Means::Tables));

TEST_P(ChunkerVectors, TablesAreThoseOfRestic) {
  EXPECT_EQ(table_hash(chunker_.out_table()), vectors_["tables_sha256"]["out"].id());
  EXPECT_EQ(table_hash(chunker_.mod_table()), vectors_["tables_sha256"]["mod"].id());
}

TEST_P(ChunkerVectors, CutsWhereResticCuts) {
  for (const Json& vector : vectors_["cases"].items()) {
    const std::string name = vector["name"].text();
    SCOPED_TRACE(name);
    const Bytes input = input_of(name);
    ASSERT_EQ(Id::of(input), vector["input_sha256"].id());
    std::vector<std::size_t> expected;
    for (const Json& chunk : vector["chunks"].items()) {
      expected.push_back(chunk["length"].number());
      EXPECT_EQ(Id::of(ByteView(input).subspan(chunk["start"].number(), expected.back())),
                chunk["sha256"].id());
    }
    EXPECT_EQ(chunk_sizes(chunker_, input), expected);
  }
}

TEST_P(ChunkerVectors, AnotherPolynomialCutsElsewhere) {
  const Json second = vectors_["second_polynomial"];
  std::vector<std::size_t> expected;
  for (const Json& chunk : second["chunks"].items()) expected.push_back(chunk.items().front().number());
  EXPECT_EQ(
      chunk_sizes(Chunker(from_hex(second["polynomial"].text()), GetParam()), test::vector_stream(33554432)),
      expected);
}

TEST_P(ChunkerVectors, FindsTheSameEndHoweverTheDataArrives) {
  const Bytes input = input_of("sha32m");
  const std::size_t whole = *chunker_.find_end(input);
  std::mt19937_64 random(1);
  for (int round = 0; round < 20; ++round) {
    std::size_t there = 0;
    std::optional<std::size_t> end;
    while (!end) {
      const std::size_t seen = there;
      there = std::min(input.size(), there + 1 + random() % (1U << (10 + round % 12)));
      end = chunker_.find_end(ByteView(input).first(there), seen);
    }
    EXPECT_EQ(*end, whole);
  }
}

Bytes ChunkerVectors::without_ends(std::size_t size) const {
  Bytes plain(size);
  std::mt19937_64 random(1);
  do {
    for (std::uint8_t& byte : plain) byte = static_cast<std::uint8_t>(random() % 255 + 1);
  } while (chunker_.find_end(plain));
  return plain;
}

// 64 bytes of zero end a chunk wherever they stand, so ends can be put where the search has to choose.
TEST_P(ChunkerVectors, OfSeveralEndsTheFirstCounts) {
  constexpr std::size_t kFirst = Chunker::kMinSize, kLane = 8192, kLanes = 6;
  const Bytes plain = without_ends(kFirst + 2 * kLanes * kLane);
  const auto end_at = [](Bytes& data, std::size_t size) {
    std::fill_n(data.begin() + static_cast<std::ptrdiff_t>(size) - 64, 64, std::uint8_t{0});
  };
  for (std::size_t earlier = 0; earlier < kLanes; ++earlier) {
    for (std::size_t later = earlier; later < kLanes; ++later) {
      for (const std::size_t a : {std::size_t{0}, std::size_t{4000}, kLane - 1}) {
        for (const std::size_t b : {std::size_t{0}, std::size_t{100}, kLane - 1}) {
          const std::size_t one = kFirst + earlier * kLane + a, other = kFirst + later * kLane + b;
          Bytes data = plain;
          end_at(data, one);
          end_at(data, other);
          EXPECT_EQ(chunker_.find_end(data), std::min(one, other)) << one << " " << other;
        }
      }
    }
  }
}

// However much of the data the lanes cover, nothing beyond its end is looked at (which a sanitizer would
// see).
TEST_P(ChunkerVectors, DataMayEndAnywhere) {
  const Bytes plain = without_ends(Chunker::kMinSize + 300000);
  std::mt19937_64 random(2);
  for (int round = 0; round < 400; ++round) {
    const std::size_t lane_bytes = 64 * 64 * (random() % 40);
    const std::size_t size = Chunker::kMinSize - 1 + lane_bytes + random() % 3;
    const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[size]);
    std::copy_n(plain.begin(), size, exact.get());
    EXPECT_EQ(chunker_.find_end(ByteView(exact.get(), size)), std::nullopt) << size;
    std::fill_n(exact.get() + size - 64, 64, std::uint8_t{0});
    const std::optional<std::size_t> at_end = size < Chunker::kMinSize ? std::nullopt : std::optional(size);
    EXPECT_EQ(chunker_.find_end(ByteView(exact.get(), size)), at_end) << size;
  }
}

TEST_P(ChunkerVectors, OfManyEndsTheFirstCounts) {
  const Bytes plain = without_ends(Chunker::kMinSize + 300000);
  std::mt19937_64 random(3);
  for (int round = 0; round < 400; ++round) {
    Bytes data = plain;
    std::size_t first = data.size();
    for (std::size_t ends = 1 + random() % 20; ends != 0; --ends) {
      const std::size_t end = Chunker::kMinSize + random() % 300001;
      std::fill_n(data.begin() + static_cast<std::ptrdiff_t>(end) - 64, 64, std::uint8_t{0});
      first = std::min(first, end);
    }
    EXPECT_EQ(chunker_.find_end(data), first);
  }
}

TEST(Chunker, RefusesAPolynomialOfAnotherDegree) {
  for (const std::uint64_t polynomial : {0ULL, 1ULL, 3ULL, 1ULL << 52U, 1ULL << 54U, ~0ULL}) {
    EXPECT_THROW(Chunker{polynomial}, Error);
  }
}

}  // namespace
}  // namespace restic::repo
