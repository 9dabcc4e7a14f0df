// SPDX-License-Identifier: MIT
#include "repo/hash_desk.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "repo/sha256_lanes.h"

namespace restic::repo {
namespace {

// A job whose outcome is looked at afterwards.
struct Order {
  explicit Order(std::size_t size, std::uint8_t fill) : content(size, fill) {}
  HashDesk::Job job() {
    return {content, [this](const Id& result) {
              ++times;
              id = result;
            }};
  }
  bool is_right() const { return times == 1 && id == Id::of(content); }

  Bytes content;
  std::atomic<int> times{0};
  Id id;
};

TEST(HashDesk, HashesAtOnceForOneWhoIsAlone) {
  HashDesk desk;
  for (const std::size_t size : {0U, 1U, 64U, 1'000'000U}) {
    Order order(size, 7);
    HashDesk::Visit(desk).bring(order.job());
    EXPECT_TRUE(order.is_right()) << size;
  }
}

TEST(HashDesk, LeavesWorkForSomebodyWhoIsOnTheWayAndHeDoesBoth) {
  HashDesk desk;
  Order first(300'000, 1);
  Order second(200'000, 2);
  HashDesk::Visit on_the_way(desk);
  HashDesk::Visit(desk).bring(first.job());
  EXPECT_EQ(first.times, Sha256Lanes::available() ? 0 : 1);
  on_the_way.bring(second.job());
  EXPECT_TRUE(first.is_right());
  EXPECT_TRUE(second.is_right());
}

TEST(HashDesk, WorkThatWasLeftIsDoneByAVisitorWhoBringsNothing) {
  HashDesk desk;
  Order order(300'000, 1);
  {
    const HashDesk::Visit brings_nothing(desk);
    HashDesk::Visit(desk).bring(order.job());
    if (Sha256Lanes::available()) {
      EXPECT_EQ(order.times, 0);
    }
  }
  EXPECT_TRUE(order.is_right());
}

TEST(HashDesk, AVisitorKnowsWhetherOthersAreThere) {
  HashDesk desk;
  {
    const HashDesk::Visit first(desk);
    EXPECT_TRUE(first.is_alone());
    EXPECT_FALSE(HashDesk::Visit(desk).is_alone());
  }
  EXPECT_TRUE(HashDesk::Visit(desk).is_alone());
  Order order(300'000, 1);
  bool alone_while_it_is_told = false;
  HashDesk::Visit(desk).bring(
      {order.content, [&](const Id&) { alone_while_it_is_told = HashDesk::Visit(desk).is_alone(); }});
  EXPECT_TRUE(alone_while_it_is_told);
  const HashDesk::Outsider outsider(desk);
  EXPECT_TRUE(outsider.is_alone());
  EXPECT_FALSE(HashDesk::Visit(desk).is_alone());
  EXPECT_FALSE(HashDesk::Outsider(desk).is_alone());
}

TEST(HashDesk, NobodyLeavesWorkForOneWhoCannotSayWhenHeComes) {
  HashDesk desk;
  const HashDesk::Outsider outsider(desk);
  Order order(300'000, 1);
  HashDesk::Visit(desk).bring(order.job());
  EXPECT_TRUE(order.is_right());
}

TEST(HashDesk, HoldsOneJobOnlyForThoseToCome) {
  HashDesk desk;
  Order first(100'000, 1);
  Order second(100'000, 2);
  Order third(100'000, 3);
  {
    const HashDesk::Visit on_the_way(desk);
    HashDesk::Visit(desk).bring(first.job());
    HashDesk::Visit(desk).bring(second.job());
    EXPECT_TRUE(first.is_right());
    EXPECT_TRUE(second.is_right());
    HashDesk::Visit(desk).bring(third.job());
    if (Sha256Lanes::available()) {
      EXPECT_EQ(third.times, 0);
    }
  }
  EXPECT_TRUE(third.is_right());
}

TEST(HashDesk, HoldsAsManyJobsAsItIsTold) {
  HashDesk desk(3);
  Order orders[] = {Order(100'000, 1), Order(200'000, 2), Order(100'000, 3), Order(100'000, 4)};
  {
    const HashDesk::Visit on_the_way(desk);
    for (int i = 0; i < 3; ++i) HashDesk::Visit(desk).bring(orders[i].job());
    for (const Order& order : orders) {
      if (Sha256Lanes::available()) {
        EXPECT_EQ(order.times, 0);
      }
    }
    HashDesk::Visit(desk).bring(orders[3].job());
    EXPECT_TRUE(orders[3].is_right());
  }
  for (const Order& order : orders) EXPECT_TRUE(order.is_right());
}

TEST(HashDesk, WhoHashesOneAloneLeavesTheRestToSomebodyWhoIsOnTheWayIfEnoughHash) {
  for (const std::size_t enough : {1U, 2U}) {
    HashDesk desk(1, enough);
    Order large(1'000'000, 1);
    Order small(100'000, 2);
    {
      const HashDesk::Visit on_the_way(desk);
      HashDesk::Visit second(desk);
      HashDesk::Visit(desk).bring(large.job());
      second.bring(small.job());
      EXPECT_TRUE(small.is_right());
      EXPECT_EQ(large.times, Sha256Lanes::available() && enough == 1 ? 0 : 1);
    }
    EXPECT_TRUE(large.is_right());
  }
}

TEST(HashDesk, DoesEachJobOnceHoweverManyThreadsBringThem) {
  constexpr int kThreads = 6;
  constexpr int kJobs = 300;
  HashDesk desk;
  std::vector<std::vector<std::unique_ptr<Order>>> orders(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&desk, &mine = orders[t], t] {
        std::mt19937 random(t);
        for (int i = 0; i < kJobs; ++i) {
          HashDesk::Visit visit(desk);
          if (random() % 8 == 0) continue;
          mine.push_back(std::make_unique<Order>(random() % (i % 10 == 0 ? 400'000 : 40'000),
                                                 static_cast<std::uint8_t>(i)));
          visit.bring(mine.back()->job());
        }
      });
    }
  }
  for (const auto& of_thread : orders) {
    ASSERT_FALSE(of_thread.empty());
    for (const auto& order : of_thread) EXPECT_TRUE(order->is_right()) << order->times;
  }
}

}  // namespace
}  // namespace restic::repo
