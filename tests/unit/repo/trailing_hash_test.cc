// SPDX-License-Identifier: MIT
#include "repo/trailing_hash.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace restic::repo {
namespace {

class TrailingHashTest : public ::testing::Test {
 protected:
  std::shared_ptr<TrailingHash> trail() {
    return std::make_shared<TrailingHash>(desk_, HashDesk::Job{content_, [this](const Id& id) {
                                                                 id_ = id;
                                                                 ++told_;
                                                               }});
  }
  void write(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) content_[i] = static_cast<std::uint8_t>(i * 7);
  }

  HashDesk desk_;
  Bytes content_ = Bytes(1'000'000, 0);
  Id id_;
  std::atomic<int> told_{0};
};

TEST_F(TrailingHashTest, FollowsTheWriter) {
  for (int round = 0; round < 20; ++round) {
    told_ = 0;
    const auto trail = this->trail();
    std::atomic<bool> follows{false};
    std::thread follower([&] {
      follows = true;
      trail->follow();
    });
    while (!follows) std::this_thread::yield();
    for (std::size_t at = 0; at < content_.size(); at += 10'000) {
      write(at, at + 10'000);
      trail->written(at + 10'000);
      if (round % 2 == 0) std::this_thread::yield();
    }
    if (const auto job = trail->complete()) job->done(Id::of(job->content));  // came too late, as it may
    follower.join();
    EXPECT_EQ(told_, 1);
    EXPECT_EQ(id_, Id::of(content_));
  }
}

TEST_F(TrailingHashTest, TellsNobodyBeforeTheWriterSaysThatAllIsRight) {
  const auto trail = this->trail();
  write(0, content_.size());
  trail->written(content_.size());
  std::thread follower([&] { trail->follow(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(told_, 0);
  const auto job = trail->complete();
  follower.join();
  EXPECT_EQ(told_, job ? 0 : 1);
}

TEST_F(TrailingHashTest, GivesTheJobBackWhenNobodyCame) {
  const auto trail = this->trail();
  write(0, content_.size());
  trail->written(500'000);
  const auto job = trail->complete();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->content.data(), content_.data());
  trail->follow();  // too late: does nothing
  EXPECT_EQ(told_, 0);
}

TEST_F(TrailingHashTest, AWriterWhoGivesUpIsNotWaitedFor) {
  const auto trail = this->trail();
  std::thread follower([&] { trail->follow(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  trail->written(100);
  trail->give_up();
  follower.join();
  EXPECT_EQ(told_, 0);
}

TEST_F(TrailingHashTest, NothingOfTheJobIsLeftWhenNobodyCameAndTheWriterGaveUp) {
  const auto token = std::make_shared<int>(0);
  const auto trail = std::make_shared<TrailingHash>(desk_, HashDesk::Job{content_, [token](const Id&) {}});
  trail->give_up();
  EXPECT_EQ(token.use_count(), 1);
  trail->follow();
  EXPECT_EQ(token.use_count(), 1);
}

TEST_F(TrailingHashTest, WhoFollowsCountsAsHashingAtTheDesk) {
  const auto trail = this->trail();
  std::thread follower([&] { trail->follow(); });
  while (HashDesk::Visit(desk_).is_alone()) std::this_thread::yield();
  trail->give_up();
  follower.join();
  EXPECT_TRUE(HashDesk::Visit(desk_).is_alone());
}

}  // namespace
}  // namespace restic::repo
