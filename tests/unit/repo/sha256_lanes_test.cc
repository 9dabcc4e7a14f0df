// SPDX-License-Identifier: MIT
#include "repo/sha256_lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace restic::repo {
namespace {

Bytes some_bytes(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::mt19937_64 random(seed);
  std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(random()); });
  return bytes;
}

// Compares with one message after the other, which another implementation computes.
void expect_right_ids(const std::vector<ByteView>& messages) {
  std::vector<Id> ids(messages.size());
  ids_of(messages, ids);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(ids[i].hex(), Id::of(messages[i]).hex())
        << "message " << i << " of " << messages.size() << ", " << messages[i].size() << " bytes";
  }
}

TEST(Sha256Lanes, AgreeWithOneMessageAtATimeForEveryPairOfLengthsAroundABlocksEnd) {
  const Bytes bytes = some_bytes(260, 1);
  const ByteView all(bytes);
  for (std::size_t a = 0; a <= 130; ++a) {
    for (const std::size_t b : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 127U, 128U, 129U, 200U}) {
      expect_right_ids({all.first(a), all.last(b)});
    }
  }
}

TEST(Sha256Lanes, AgreeForAnyNumberOfMessagesOfAnyLengths) {
  std::mt19937_64 random(2);
  const Bytes bytes = some_bytes(5000, 3);
  for (int round = 0; round < 300; ++round) {
    std::vector<ByteView> messages(random() % 9);
    for (ByteView& message : messages) {
      const std::size_t begin = random() % bytes.size();
      message = ByteView(bytes).subspan(begin, random() % (bytes.size() - begin));
    }
    expect_right_ids(messages);
  }
}

TEST(Sha256Lanes, AgreeForALargeMessageBesideSmallOnes) {
  const Bytes large = some_bytes(3'000'001, 4);
  const Bytes small = some_bytes(100, 5);
  expect_right_ids({large, small, small, ByteView(large).subspan(1)});
  expect_right_ids({small, large});
}

// A message goes through both lanes, beside another one and alone, and is put aside again and again.
TEST(Sha256Lanes, GoOnWithAMessageThatWasPutAside) {
  if (!Sha256Lanes::available()) GTEST_SKIP() << "this processor has no SHA instructions";
  const Bytes large = some_bytes(200'001, 6);
  const Bytes other = some_bytes(70'000, 7);
  Sha256Lanes lanes;
  std::size_t at = 0;
  lanes.start(at, large);
  lanes.start(1, other);
  std::size_t times = 0;
  bool other_done = false;
  for (;;) {
    lanes.run(10'000);
    if (lanes.done(1 - at)) {
      EXPECT_EQ(lanes.take(1 - at), Id::of(other));
      other_done = true;
    }
    if (lanes.left(at) == 0) break;
    const std::size_t left = lanes.left(at);
    const Sha256Lanes::Begun begun = lanes.put_aside(at);
    EXPECT_FALSE(lanes.busy(at) || lanes.done(at));
    if (!lanes.busy(1 - at)) at = 1 - at;
    lanes.go_on(at, begun);
    EXPECT_EQ(lanes.left(at), left);
    ++times;
  }
  EXPECT_GT(times, 10U);
  EXPECT_TRUE(other_done);
  while (!lanes.done(at)) lanes.run(1'000);
  EXPECT_EQ(lanes.take(at), Id::of(large));
}

TEST(Sha256Lanes, KnowTheHashesOfTheStandardWhereTheProcessorHasThem) {
  if (!Sha256Lanes::available()) GTEST_SKIP() << "this processor has no SHA instructions";
  Sha256Lanes lanes;
  lanes.start(0, as_bytes("abc"));
  lanes.start(1, as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
  lanes.run(64);
  ASSERT_TRUE(lanes.done(0));
  EXPECT_TRUE(lanes.busy(1)) << "it has two blocks";
  EXPECT_EQ(lanes.take(0).hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  lanes.run(64);
  ASSERT_TRUE(lanes.done(1));
  EXPECT_EQ(lanes.take(1).hex(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  lanes.start(0, {});
  lanes.run(64);
  ASSERT_TRUE(lanes.done(0));
  EXPECT_EQ(lanes.take(0).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace restic::repo
