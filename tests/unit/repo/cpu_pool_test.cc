// SPDX-License-Identifier: MIT
#include "repo/cpu_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

namespace restic::repo {
namespace {

TEST(CpuPool, DestructorWaitsForEverySubmittedTask) {
  std::atomic<int> done{0};
  {
    CpuPool pool(2);
    for (int i = 0; i < 1000; ++i) pool.submit([&done] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(CpuPool, TasksMaySubmitTasks) {
  std::atomic<int> done{0};
  {
    CpuPool pool(2);
    pool.submit([&] {
      for (int i = 0; i < 10; ++i) pool.submit([&done] { ++done; });
    });
  }
  EXPECT_EQ(done, 10);
}

TEST(CpuPool, RunsAsManyTasksAtOnceAsItHasThreads) {
  constexpr unsigned kThreads = 3;
  std::latch all_running(kThreads);
  CpuPool pool(kThreads);
  EXPECT_EQ(pool.threads(), kThreads);
  for (unsigned i = 0; i < kThreads; ++i) pool.submit([&] { all_running.arrive_and_wait(); });
  all_running.wait();  // hangs if the tasks ran one after another
}

TEST(CpuPool, SubmittedTasksRunWhileNobodyWaits) {
  std::latch ran(1);
  CpuPool pool(1);
  pool.submit([&] { ran.count_down(); });
  ran.wait();
}

TEST(CpuPool, ForEachVisitsEveryIndexOnce) {
  CpuPool pool;
  std::vector<std::atomic<int>> visits(5000);
  pool.for_each(visits.size(), [&](std::size_t i) { ++visits[i]; });
  for (const auto& count : visits) EXPECT_EQ(count, 1);
  pool.for_each(0, [](std::size_t) { FAIL(); });
}

TEST(CpuPool, ForEachThrowsWhatTheBodyThrew) {
  CpuPool pool(2);
  EXPECT_THROW(pool.for_each(100,
                             [](std::size_t i) {
                               if (i == 57) throw std::runtime_error("57");
                             }),
               std::runtime_error);
}

TEST(CpuPool, ForEachWorksInsideATaskAndFromManyThreads) {
  CpuPool pool(2);
  std::atomic<int> visits{0};
  std::latch inner(1);
  pool.submit([&] {
    pool.for_each(100, [&](std::size_t) { ++visits; });
    inner.count_down();
  });
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&] { pool.for_each(100, [&](std::size_t) { ++visits; }); });
    }
  }
  inner.wait();
  EXPECT_EQ(visits, 900);
}

}  // namespace
}  // namespace restic::repo
