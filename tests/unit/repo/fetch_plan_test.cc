// SPDX-License-Identifier: MIT
#include "repo/fetch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support/index_material.h"

namespace restic::repo {
namespace {

using testing::ElementsAre;

constexpr FetchLimits kLimits{.gap_bytes = 100, .slack_bytes = 150, .range_bytes = 4000};

BlobPlace place(std::uint64_t pack, std::uint32_t offset, std::uint32_t length) {
  return {test::numbered_id(pack), static_cast<std::uint32_t>(pack), test::packed(offset, offset, length)};
}

TEST(FetchPlan, AdjacentBlobsAreOneRange) {
  const std::vector<BlobPlace> wanted{place(1, 0, 100), place(1, 100, 50), place(1, 150, 10)};
  const auto ranges = plan_fetch(wanted, kLimits);
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_EQ(ranges[0].pack, test::numbered_id(1));
  EXPECT_EQ(ranges[0].range.offset, 0U);
  EXPECT_EQ(ranges[0].range.length, 160U);
  EXPECT_THAT(ranges[0].blobs, ElementsAre(0, 1, 2));
}

TEST(FetchPlan, BlobsOfARangeAscendByOffsetWhateverTheOrderOfTheAsking) {
  const std::vector<BlobPlace> wanted{place(1, 100, 50), place(1, 0, 100)};
  const auto ranges = plan_fetch(wanted, kLimits);
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_THAT(ranges[0].blobs, ElementsAre(1, 0));
}

TEST(FetchPlan, PacksAreNeverMixed) {
  const std::vector<BlobPlace> wanted{place(1, 0, 100), place(2, 100, 100)};
  EXPECT_EQ(plan_fetch(wanted, kLimits).size(), 2U);
}

TEST(FetchPlan, SmallGapsAreFetchedAlongLargeOnesAreNot) {
  const std::vector<BlobPlace> near{place(1, 0, 100), place(1, 200, 100)};
  EXPECT_EQ(plan_fetch(near, kLimits).size(), 1U);
  const std::vector<BlobPlace> far{place(1, 0, 100), place(1, 201, 100)};
  EXPECT_EQ(plan_fetch(far, kLimits).size(), 2U);
}

TEST(FetchPlan, UnwantedBytesDoNotAddUp) {
  std::vector<BlobPlace> wanted;
  for (std::uint32_t i = 0; i < 10; ++i) wanted.push_back(place(1, i * 110, 10));  // 100 of 110 are unwanted
  for (const PlannedRange& range : plan_fetch(wanted, kLimits)) {
    EXPECT_LE(range.range.length, 10 * range.blobs.size() + kLimits.slack_bytes);
  }
}

TEST(FetchPlan, ALongSequenceMayWasteASixteenth) {
  const FetchLimits limits{.gap_bytes = 100, .slack_bytes = 0, .range_bytes = 1U << 30U};
  std::vector<BlobPlace> wanted;
  for (std::uint32_t i = 0; i < 100; ++i) wanted.push_back(place(1, i * 1650, 1600));  // 3 % are unwanted
  EXPECT_EQ(plan_fetch(wanted, limits).size(), 1U);
}

TEST(FetchPlan, RangesStayWithinTheirCapButLargeBlobsGoWhole) {
  const std::vector<BlobPlace> wanted{place(1, 0, 3000), place(1, 3000, 2000), place(1, 5000, 9000)};
  const auto ranges = plan_fetch(wanted, kLimits);
  ASSERT_EQ(ranges.size(), 3U);
  EXPECT_EQ(ranges[2].range.length, 9000U);
}

TEST(FetchPlan, OverlappingBlobsAreFetchedApart) {
  const std::vector<BlobPlace> wanted{place(1, 0, 100), place(1, 99, 100), place(1, 199, 10)};
  const auto ranges = plan_fetch(wanted, kLimits);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_THAT(ranges[1].blobs, ElementsAre(1, 2));
}

TEST(FetchPlan, WhatWasAskedForFirstIsFetchedFirst) {
  const std::vector<BlobPlace> wanted{place(9, 0, 10), place(1, 5000, 10), place(1, 0, 10), place(9, 10, 10)};
  const auto ranges = plan_fetch(wanted, kLimits);
  ASSERT_EQ(ranges.size(), 3U);
  EXPECT_THAT(ranges[0].blobs, ElementsAre(0, 3));
  EXPECT_THAT(ranges[1].blobs, ElementsAre(1));
  EXPECT_THAT(ranges[2].blobs, ElementsAre(2));
}

TEST(FetchPlan, EveryBlobIsInExactlyOneRangeThatCoversIt) {
  std::mt19937 random(7);
  std::vector<BlobPlace> wanted;
  std::uint32_t offset = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto length = static_cast<std::uint32_t>(32 + random() % 600);
    if (random() % 3 != 0) wanted.push_back(place(random() % 3, offset, length));
    offset += length;
  }
  std::shuffle(wanted.begin(), wanted.end(), random);
  std::vector<int> seen(wanted.size());
  for (const PlannedRange& range : plan_fetch(wanted, kLimits)) {
    for (const std::size_t i : range.blobs) {
      ++seen[i];
      EXPECT_EQ(wanted[i].pack, range.pack);
      EXPECT_GE(wanted[i].blob.offset, range.range.offset);
      EXPECT_LE(wanted[i].blob.offset + wanted[i].blob.length, range.range.offset + range.range.length);
    }
  }
  EXPECT_THAT(seen, testing::Each(1));
}

TEST(FetchPlan, ALongLineMakesWiderGapsWorthWhile) {
  const FetchLimits local = fetch_limits(std::chrono::microseconds(80));
  const FetchLimits far = fetch_limits(std::chrono::milliseconds(50));
  EXPECT_LE(local.gap_bytes, 16U << 10U);
  EXPECT_EQ(far.gap_bytes, 1U << 20U);
  EXPECT_GT(far.range_bytes, local.range_bytes);
  EXPECT_EQ(fetch_limits(std::chrono::hours(1)).gap_bytes, 1U << 20U);
}

}  // namespace
}  // namespace restic::repo
