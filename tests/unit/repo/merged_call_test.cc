// SPDX-License-Identifier: MIT
#include "repo/merged_call.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

namespace restic::repo {
namespace {

TEST(MergedCall, CallsDuringARunShareTheNext) {
  MergedCall call;
  std::promise<void> first_runs, go_on;
  std::atomic<int> runs{0};
  auto first = std::async(std::launch::async, [&] {
    call.run([&] {
      ++runs;
      first_runs.set_value();
      go_on.get_future().get();
    });
  });
  first_runs.get_future().get();
  std::atomic<int> calling{0};
  std::vector<std::future<void>> others;
  for (int i = 0; i < 5; ++i) {
    others.push_back(std::async(std::launch::async, [&] {
      ++calling;
      call.run([&] { ++runs; });
    }));
  }
  while (calling < 5) std::this_thread::yield();
  EXPECT_EQ(runs, 1);
  go_on.set_value();
  first.get();
  for (auto& other : others) other.get();
  EXPECT_GE(runs, 2);  // theirs began after they called
  EXPECT_LE(runs, 6);
}

TEST(MergedCall, AnErrorReachesTheCallerAndIsForgotten) {
  MergedCall call;
  EXPECT_THROW(call.run([] { throw Error(Errc::Unavailable, "down"); }), Error);
  call.run([] {});
}

TEST(MergedCall, ACancelledRunCountsForItsCallerAlone) {
  MergedCall call;
  std::promise<void> runs, go_on;
  auto cancelled = std::async(std::launch::async, [&] {
    EXPECT_THROW(call.run([&] {
      runs.set_value();
      go_on.get_future().get();
      throw Error(Errc::Cancelled, "not wanted any more");
    }),
                 Error);
  });
  runs.get_future().get();
  std::atomic<bool> served{false};
  auto other = std::async(std::launch::async, [&] { call.run([&] { served = true; }); });
  go_on.set_value();
  cancelled.get();
  other.get();
  EXPECT_TRUE(served);
}

TEST(MergedCall, AWaitEndsWhenItIsNotWantedAnyMore) {
  MergedCall call;
  std::promise<void> runs, go_on;
  auto first = std::async(std::launch::async, [&] {
    call.run([&] {
      runs.set_value();
      go_on.get_future().get();
    });
  });
  runs.get_future().get();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(call.run([] { FAIL(); }, stop.get_token()), Error);
  go_on.set_value();
  first.get();
}

TEST(MergedCall, OneAfterTheOtherRunsEachTime) {
  MergedCall call;
  int runs = 0;
  for (int i = 0; i < 3; ++i) call.run([&] { ++runs; });
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace restic::repo
