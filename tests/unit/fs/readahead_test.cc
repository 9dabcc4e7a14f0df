// SPDX-License-Identifier: MIT
#include "fs/readahead.h"

#include <gtest/gtest.h>

#include <random>

namespace restic::fs {
namespace {

constexpr std::uint64_t kKib = 1024, kMib = 1024 * kKib;
constexpr std::uint64_t kFile = 1024 * kMib, kRoom = 512 * kMib;

TEST(Readahead, AsksForNothingWhenReadsJump) {
  Readahead readahead;
  std::mt19937_64 random(1);
  for (int read = 0; read < 1000; ++read) {
    EXPECT_TRUE(readahead.next(random() % (kFile / 4096) * 4096, 4096, kFile, kRoom).empty());
  }
}

TEST(Readahead, GrowsWhileReadsAreInARowAndAsksForEveryByteOnce) {
  Readahead readahead;
  std::uint64_t asked_to = 0, largest = 0;
  for (std::uint64_t at = 0; at < 256 * kMib; at += 128 * kKib) {
    const auto range = readahead.next(at, 128 * kKib, kFile, kRoom);
    if (range.empty()) continue;
    EXPECT_GE(range.begin, asked_to);
    asked_to = range.end;
    largest = std::max(largest, range.end - at);
    EXPECT_LE(range.end, at + 128 * kKib + Readahead::kLargest);
  }
  EXPECT_GT(largest, Readahead::kLargest / 2);
  EXPECT_GE(asked_to, 256 * kMib);
}

TEST(Readahead, StaysWithinTheFileAndTheRoom) {
  Readahead readahead;
  std::uint64_t end = 0;
  for (std::uint64_t at = 0; at < 10 * kMib; at += kMib) {
    const auto range = readahead.next(at, kMib, 10 * kMib, 2 * kMib);
    if (range.empty()) continue;
    EXPECT_LE(range.end - range.begin, 2 * kMib);
    end = range.end;
  }
  EXPECT_EQ(end, 10 * kMib);
}

TEST(Readahead, TakesTheKernelsOwnDisorderForARow) {
  Readahead readahead;
  std::uint64_t asked = 0;
  for (std::uint64_t at = 0; at < 64 * kMib; at += 512 * kKib) {
    for (const std::uint64_t part : {0, 2, 1, 3}) {
      const auto range = readahead.next(at + part * 128 * kKib, 128 * kKib, kFile, kRoom);
      if (!range.empty()) asked += range.end - range.begin;
    }
  }
  EXPECT_GT(asked, 60 * kMib);
}

TEST(Readahead, KeepsMostOfItsWindowOnTheWayAtAllTimes) {
  Readahead readahead;
  std::uint64_t asked = 0;
  for (std::uint64_t at = 0; at < 256 * kMib; at += 128 * kKib) {
    const auto range = readahead.next(at, 128 * kKib, kFile, kRoom);
    if (!range.empty()) asked = range.end;
    if (at <= 64 * kMib) continue;
    EXPECT_GT(asked, at + Readahead::kLargest / 4 * 3);
  }
}

TEST(Readahead, TakesReadsForARowThatLeaveOutWhatTheKernelStillHas) {
  Readahead readahead;
  std::uint64_t asked = 0;
  std::size_t reads = 0;
  for (std::uint64_t at = 0; at < 256 * kMib; at += 1500 * kKib, ++reads) {
    const auto range = readahead.next(at, 16 * kKib, kFile, kRoom);
    if (!range.empty()) asked = range.end;
    if (reads < 4) continue;
    EXPECT_GT(asked, at + 1500 * kKib) << reads;
  }
}

TEST(Readahead, AfterALeapWithinWhatWasAskedForTheReaderHasToShowARowAgain) {
  Readahead readahead;
  std::uint64_t asked = 0;
  for (std::uint64_t at = 0; at < 64 * kMib; at += 128 * kKib) {
    const auto range = readahead.next(at, 128 * kKib, kFile, kRoom);
    if (!range.empty()) asked = range.end;
  }
  // Looks here and there, at things that are on their way already, and farther: nothing is asked for.
  for (std::uint64_t at = 70 * kMib; at < 500 * kMib; at += 5 * kMib) {
    EXPECT_TRUE(readahead.next(at, 4 * kKib, kFile, kRoom).empty()) << at;
    EXPECT_TRUE(readahead.passed().empty());
  }
  // One that goes on from there gets nothing a second time.
  Readahead other;
  for (std::uint64_t at = 0; at < 64 * kMib; at += 128 * kKib) other.next(at, 128 * kKib, kFile, kRoom);
  const std::uint64_t leap = 63 * kMib + Readahead::kLargest / 2;
  for (std::uint64_t at = leap; at < leap + 64 * kMib; at += 128 * kKib) {
    const auto range = other.next(at, 128 * kKib, kFile, kRoom);
    if (range.empty()) continue;
    EXPECT_GE(range.begin, asked);
    asked = range.end;
  }
  EXPECT_GT(asked, leap + 64 * kMib);
}

TEST(Readahead, AsksAgainForWhatWasRefused) {
  Readahead readahead;
  Readahead::Range range;
  std::uint64_t at = 0;
  for (; range.end < 40 * kMib; at += 128 * kKib) {
    const auto next = readahead.next(at, 128 * kKib, kFile, kRoom);
    if (!next.empty()) range = next;
  }
  readahead.refused(range.begin);
  const auto again = readahead.next(at, 128 * kKib, kFile, kRoom);
  EXPECT_EQ(again.begin, range.begin);
  EXPECT_FALSE(again.empty());
  // What was read meanwhile is not asked for again.
  readahead.refused(0);
  const auto behind = readahead.next(at, 128 * kKib, kFile, kRoom);
  EXPECT_EQ(behind.begin, at + 128 * kKib);
}

TEST(Readahead, ReadingOnePlaceOverAndOverIsNoRow) {
  Readahead readahead;
  for (int read = 0; read < 1000; ++read) {
    EXPECT_TRUE(readahead.next(7 * kMib, 4 * kKib, kFile, kRoom).empty());
  }
}

TEST(Readahead, ForgetsTheRowAfterAJump) {
  Readahead readahead;
  for (std::uint64_t at = 0; at < 16 * kMib; at += 128 * kKib) readahead.next(at, 128 * kKib, kFile, kRoom);
  EXPECT_FALSE(readahead.passed().empty());
  EXPECT_TRUE(readahead.next(500 * kMib, 4 * kKib, kFile, kRoom).empty());
  EXPECT_TRUE(readahead.passed().empty());
}

TEST(Readahead, TellsOnceWhatWasPassedAndOnlyOfTheRun) {
  Readahead readahead;
  const auto read_in_a_row = [&](std::uint64_t from, std::uint64_t to) {
    std::uint64_t told = from;
    for (std::uint64_t at = from; at < to; at += 128 * kKib) {
      readahead.next(at, 128 * kKib, kFile, kRoom);
      const auto passed = readahead.passed();
      if (passed.empty()) continue;
      EXPECT_EQ(passed.begin, told);
      EXPECT_LE(passed.end, at);
      told = passed.end;
    }
    EXPECT_GT(told, to - 4 * kMib);
  };
  read_in_a_row(100 * kMib, 116 * kMib);
  read_in_a_row(300 * kMib, 316 * kMib);
  read_in_a_row(0, 16 * kMib);
}

}  // namespace
}  // namespace restic::fs
