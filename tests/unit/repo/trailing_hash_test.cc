// SPDX-License-Identifier: MIT
#include "repo/trailing_hash.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace restic::repo {
namespace {

using namespace std::chrono_literals;

class TrailingHashTest : public ::testing::Test {
 protected:
  std::shared_ptr<TrailingHash> trail() {
    return std::make_shared<TrailingHash>(pool_, content_, [this](const Id& id) {
      id_ = id;
      ++told_;
    });
  }
  void write(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) content_[i] = static_cast<std::uint8_t>(i * 7);
  }
  void await_told() {
    for (int turn = 0; turn < 20'000 && told_ == 0; ++turn) std::this_thread::sleep_for(1ms);
  }

  Bytes content_ = Bytes(1'000'000, 0);
  Id id_;
  std::atomic<int> told_{0};
  CpuPool pool_;  // ends first
};

TEST_F(TrailingHashTest, FollowsTheWriter) {
  for (int round = 0; round < 40; ++round) {
    told_ = 0;
    const auto trail = this->trail();
    for (std::size_t at = 0; at < content_.size(); at += 10'000) {
      write(at, at + 10'000);
      trail->written(at + 10'000);
      if (round % 4 == 0 && at % 100'000 == 0)
        std::this_thread::sleep_for(300us);  // nobody waits for so long
      if (round % 4 == 1) std::this_thread::yield();
    }
    if (round % 4 == 2) std::this_thread::sleep_for(2ms);
    if (trail->complete()) {
      await_told();
      EXPECT_EQ(told_, 1);
      EXPECT_EQ(id_, Id::of(content_));
    } else {
      EXPECT_EQ(told_, 0) << "nothing was hashed";
    }
  }
}

TEST_F(TrailingHashTest, TellsNobodyBeforeTheWriterSaysThatAllIsRight) {
  const auto trail = this->trail();
  write(0, content_.size());
  trail->written(content_.size());
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(told_, 0);
  if (trail->complete()) await_told();
  EXPECT_LE(told_, 1);
}

TEST_F(TrailingHashTest, IsLeftToTheCallerWhenNothingWasHashed) {
  const auto trail = this->trail();
  write(0, content_.size());
  EXPECT_FALSE(trail->complete());
  EXPECT_EQ(told_, 0);
}

TEST_F(TrailingHashTest, AFollowerDoesNotWaitForAWriterWhoTakesLong) {
  CpuPool one(1);
  const auto trail = std::make_shared<TrailingHash>(one, content_, [this](const Id&) { ++told_; });
  write(0, content_.size());
  trail->written(500'000);
  std::atomic<bool> ran{false};
  one.submit([&] { ran = true; });  // by the only thread that there is
  for (int turn = 0; turn < 20'000 && !ran; ++turn) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(ran);
  EXPECT_TRUE(trail->complete());
  await_told();
  EXPECT_EQ(told_, 1);
}

TEST_F(TrailingHashTest, AThreadThatHasNotComeIsNotWaitedFor) {
  CpuPool one(1);
  std::atomic<bool> holds{true};
  one.submit([&] {
    while (holds) std::this_thread::sleep_for(1ms);
  });
  const auto trail = std::make_shared<TrailingHash>(one, content_, [this](const Id&) { ++told_; });
  write(0, content_.size());
  trail->written(500'000);
  EXPECT_FALSE(trail->complete());
  holds = false;
  for (bool ran = false; !ran;) {
    one.for_each(1, [&](std::size_t) { ran = true; });
  }
  EXPECT_EQ(told_, 0);
}

TEST_F(TrailingHashTest, NobodyIsToldOfWhatWasGivenUp) {
  for (int round = 0; round < 50; ++round) {
    const auto trail = this->trail();
    if (round % 2 == 0) trail->written(900'000);
    if (round % 4 == 0) std::this_thread::sleep_for(1ms);
    trail->give_up();
  }
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(told_, 0);
}

TEST_F(TrailingHashTest, NothingIsKeptOfWhatWasGivenUp) {
  for (const bool begun : {false, true}) {
    const auto token = std::make_shared<int>(0);
    const auto trail = std::make_shared<TrailingHash>(pool_, content_, [token](const Id&) {});
    if (begun) trail->written(500'000);
    trail->give_up();
    for (int turn = 0; turn < 20'000 && token.use_count() > 1; ++turn) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(token.use_count(), 1) << begun;
  }
}

}  // namespace
}  // namespace restic::repo
