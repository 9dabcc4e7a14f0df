// SPDX-License-Identifier: MIT
#include "repo/index_refresher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "base/error.h"
#include "support/index_material.h"

namespace restic::repo {
namespace {

class IndexRefresherTest : public testing::Test {
 protected:
  // Asks for a pack and waits for the answer.
  void ask(IndexRefresher& refresher, std::uint64_t pack) {
    std::promise<void> answered;
    refresher.ask(test::numbered_id(pack), [&] { answered.set_value(); });
    answered.get_future().get();
  }

  Log log_{Log::Sink::Nothing};
  std::atomic<int> refreshes_{0};
};

TEST_F(IndexRefresherTest, APackCausesOneRefresh) {
  IndexRefresher refresher([this] { ++refreshes_; }, std::chrono::milliseconds(0), log_);
  for (int i = 0; i < 3; ++i) ask(refresher, 1);
  EXPECT_EQ(refreshes_, 1);
  ask(refresher, 2);
  EXPECT_EQ(refreshes_, 2);
}

TEST_F(IndexRefresherTest, AllWhoAskDuringARefreshShareTheNext) {
  std::promise<void> refreshing, go_on;
  IndexRefresher refresher(
      [&] {
        if (++refreshes_ > 1) return;
        refreshing.set_value();
        go_on.get_future().get();
      },
      std::chrono::milliseconds(0), log_);
  std::atomic<int> answers{0};
  refresher.ask(test::numbered_id(1), [&] { ++answers; });
  refreshing.get_future().get();
  for (std::uint64_t pack = 2; pack < 10; ++pack) refresher.ask(test::numbered_id(pack), [&] { ++answers; });
  go_on.set_value();
  ask(refresher, 1);
  EXPECT_EQ(answers, 9);
  EXPECT_EQ(refreshes_, 2);
}

TEST_F(IndexRefresherTest, AFailedRefreshIsAnAnswerToo) {
  IndexRefresher refresher([] { throw Error(Errc::Unavailable, "down"); }, std::chrono::milliseconds(0),
                           log_);
  ask(refresher, 1);
  EXPECT_EQ(log_.last_problem().find("cannot read the index again"), 0U);
}

TEST_F(IndexRefresherTest, AFailedRefreshIsNoVerdict) {
  IndexRefresher refresher(
      [this] {
        if (++refreshes_ == 1) throw Error(Errc::Unavailable, "down");
      },
      std::chrono::milliseconds(0), log_);
  for (int i = 0; i < 4; ++i) ask(refresher, 1);
  EXPECT_EQ(refreshes_, 2);
}

TEST_F(IndexRefresherTest, AVerdictDoesNotHoldForEver) {
  std::atomic<std::int64_t> minutes{0};
  IndexRefresher refresher([this] { ++refreshes_; }, std::chrono::milliseconds(0), log_,
                           [&] { return IndexRefresher::Time(std::chrono::minutes(minutes.load())); });
  for (minutes = 0; minutes < 2 * IndexRefresher::kVerdictHolds.count(); ++minutes) ask(refresher, 1);
  EXPECT_EQ(refreshes_, 2);
}

TEST_F(IndexRefresherTest, WhatWaitsIsAnsweredWithoutARefreshAtTheEnd) {
  std::atomic<int> answers{0};
  {
    // Longer than any machine has been up: the first refresh does not wait.
    IndexRefresher refresher([this] { ++refreshes_; }, std::chrono::hours(24 * 365 * 50), log_);
    ask(refresher, 1);
    refresher.ask(test::numbered_id(2), [&] { ++answers; });
  }
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(refreshes_, 1);
}

}  // namespace
}  // namespace restic::repo
