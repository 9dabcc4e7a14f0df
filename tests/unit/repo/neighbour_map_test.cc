// SPDX-License-Identifier: MIT
#include "repo/neighbour_map.h"

#include <gtest/gtest.h>

#include "support/index_material.h"

namespace restic::repo {
namespace {

const Id kSomePack = test::numbered_id(1);

void expect_stretch(const NeighbourMap::Stretch& stretch, std::uint64_t begin, std::uint64_t end) {
  EXPECT_EQ(stretch.begin, begin);
  EXPECT_EQ(stretch.end, end);
}

TEST(NeighbourMap, TheFirstWishIsForBothSides) {
  NeighbourMap map;
  const auto wish = map.wish(kSomePack, {5000, 5100}, 1000, false);
  expect_stretch(wish.behind, 4000, 5000);
  expect_stretch(wish.beyond, 5100, 6100);
}

TEST(NeighbourMap, NothingLiesBeforeTheBeginningOfAPack) {
  NeighbourMap map;
  expect_stretch(map.wish(kSomePack, {300, 400}, 1000, false).behind, 0, 300);
  EXPECT_TRUE(map.wish(test::numbered_id(2), {0, 400}, 1000, false).behind.empty());
}

TEST(NeighbourMap, AReaderWhoGoesOnAsksForEachByteOnceAndInPiecesWorthARequest) {
  NeighbourMap map;
  std::uint64_t covered = 100, pieces = 0;
  for (std::uint64_t offset = 0; offset < 100'000; offset += 100) {
    const auto wish = map.wish(kSomePack, {offset, offset + 100}, 1000, true);
    EXPECT_TRUE(wish.behind.empty());
    if (wish.beyond.empty()) continue;
    EXPECT_EQ(wish.beyond.begin, covered);
    EXPECT_GE(wish.beyond.end - wish.beyond.begin, 500U);
    covered = wish.beyond.end;
    map.asked(kSomePack, wish.beyond);
    ++pieces;
  }
  EXPECT_LE(pieces, 200U);
}

TEST(NeighbourMap, ABlobThatHadToBeFetchedAgainStartsAnew) {
  NeighbourMap map;
  map.wish(kSomePack, {5000, 5100}, 1000, false);
  map.asked(kSomePack, {5100, 6100});
  EXPECT_TRUE(map.wish(kSomePack, {5200, 5300}, 1000, true).beyond.empty());
  expect_stretch(map.wish(kSomePack, {5200, 5300}, 1000, false).beyond, 5300, 6300);
}

TEST(NeighbourMap, WhatWasNotAskedForIsNotRemembered) {
  NeighbourMap map;
  map.wish(kSomePack, {5000, 5100}, 1000, false);
  expect_stretch(map.wish(kSomePack, {5000, 5100}, 1000, true).beyond, 5100, 6100);
  map.asked(kSomePack, {7000, 8000});  // lies apart
  expect_stretch(map.wish(kSomePack, {5000, 5100}, 1000, true).beyond, 5100, 6100);
}

}  // namespace
}  // namespace restic::repo
