// SPDX-License-Identifier: MIT
#include "repo/byte_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace restic::repo {
namespace {

using Cache = ByteCache<int, std::string, std::hash<int>>;
constexpr std::uint64_t kEach = 1000;  // with overhead

const Cache::Time kNow{std::chrono::hours(1)};

void insert(Cache& cache, int key, bool unread = false, Cache::Time now = kNow) {
  cache.insert(key, std::make_shared<const std::string>(std::to_string(key)), kEach - Cache::kEntryOverhead,
               unread, now);
}

bool has(const Cache& cache, int key) { return cache.peek(key) != nullptr; }

TEST(ByteCache, KeepsWhatWasUsedLast) {
  Cache cache(3 * kEach);
  for (int key = 1; key <= 3; ++key) insert(cache, key);
  EXPECT_EQ(*cache.find(1), "1");
  insert(cache, 4);
  EXPECT_TRUE(has(cache, 1));
  EXPECT_FALSE(has(cache, 2));
  EXPECT_EQ(cache.cached_bytes(), 3 * kEach);
}

TEST(ByteCache, ReservedBytesPushOutValues) {
  Cache cache(3 * kEach);
  for (int key = 1; key <= 3; ++key) insert(cache, key);
  cache.reserve(2 * kEach);
  EXPECT_EQ(cache.cached_bytes(), kEach);
  EXPECT_TRUE(has(cache, 3));
  insert(cache, 4);
  EXPECT_EQ(cache.cached_bytes() + cache.reserved_bytes(), 3 * kEach);
  cache.release(2 * kEach);
  insert(cache, 5);
  EXPECT_EQ(cache.cached_bytes(), 2 * kEach);
}

TEST(ByteCache, AValueThatFindsNoRoomIsNotKept) {
  Cache cache(kEach - 1);
  insert(cache, 1);
  EXPECT_FALSE(has(cache, 1));
  EXPECT_EQ(cache.cached_bytes(), 0U);
}

TEST(ByteCache, AValueThatIsTooLargePushesNothingOut) {
  Cache cache(2 * kEach);
  for (int key = 1; key <= 2; ++key) insert(cache, key);
  cache.insert(3, std::make_shared<const std::string>("large"), 2 * kEach, false);
  EXPECT_FALSE(has(cache, 3));
  EXPECT_TRUE(has(cache, 1));
  EXPECT_TRUE(has(cache, 2));
}

TEST(ByteCache, AHeldValueSurvivesItsEviction) {
  Cache cache(kEach);
  insert(cache, 1);
  const Cache::Ptr held = cache.find(1);
  insert(cache, 2);
  EXPECT_FALSE(has(cache, 1));
  EXPECT_EQ(*held, "1");
}

TEST(ByteCache, WhatWasReadAheadOutlivesWhatWasRead) {
  Cache cache(3 * kEach);
  insert(cache, 1, true);
  for (int key = 2; key <= 9; ++key) insert(cache, key);
  EXPECT_TRUE(has(cache, 1));
}

TEST(ByteCache, NewerReadAheadDoesNotEvictOlder) {
  Cache cache(3 * kEach);
  for (int key = 1; key <= 5; ++key) insert(cache, key, true);
  EXPECT_TRUE(has(cache, 1));
  EXPECT_TRUE(has(cache, 2));
  EXPECT_TRUE(has(cache, 3));
  EXPECT_EQ(cache.unread_bytes(kNow), 3 * kEach);
}

TEST(ByteCache, LookingAtAValueReadAheadMakesItRead) {
  Cache cache(3 * kEach);
  insert(cache, 1, true);
  bool was_unread = false;
  cache.find(1, &was_unread);
  EXPECT_TRUE(was_unread);
  cache.find(1, &was_unread);
  EXPECT_FALSE(was_unread);
  EXPECT_EQ(cache.unread_bytes(kNow), 0U);
}

TEST(ByteCache, PeekingChangesNothing) {
  Cache cache(2 * kEach);
  insert(cache, 1);
  insert(cache, 2);
  EXPECT_TRUE(has(cache, 1));
  insert(cache, 3);
  EXPECT_FALSE(has(cache, 1));
}

TEST(ByteCache, AbandonedReadAheadAgesLikeTheRest) {
  Cache cache(2 * kEach);
  insert(cache, 1, true);
  EXPECT_EQ(cache.unread_bytes(kNow + Cache::kPatience), kEach);
  const auto later = kNow + Cache::kPatience + std::chrono::seconds(1);
  EXPECT_EQ(cache.unread_bytes(later), 0U);
  insert(cache, 2, false, later);
  insert(cache, 3, false, later);
  EXPECT_FALSE(has(cache, 1));
}

TEST(ByteCache, ARetiredValueIsTheNextToGo) {
  Cache cache(3 * kEach);
  for (int key = 1; key <= 3; ++key) insert(cache, key);
  cache.retire(3);
  cache.retire(77);
  insert(cache, 4);
  EXPECT_FALSE(has(cache, 3));
  EXPECT_TRUE(has(cache, 1));
}

TEST(ByteCache, ASecondValueForAKeyIsDropped) {
  Cache cache(3 * kEach);
  insert(cache, 1);
  insert(cache, 1, true);
  EXPECT_EQ(cache.cached_bytes(), kEach);
  EXPECT_EQ(cache.unread_bytes(kNow), 0U);
}

}  // namespace
}  // namespace restic::repo
