// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <tuple>

#include "support/blob_reader_test.h"
#include "transport/retry_backend.h"

namespace restic::repo {
namespace {

using test::Call;
using test::corrupted;
using test::Fault;
using test::hung;
using test::kKiB;
using test::PackBlobReaderTest;
using transport::Urgency;

TEST_F(PackBlobReaderTest, ReadAheadIsThereWhenItIsWanted) {
  const auto keys = add_many(1, 4, 10 * kKiB);
  packs_.close();
  start();
  settle(reader_->request(keys, Urgency::Ahead));
  EXPECT_EQ(backend_.calls().front().urgency, Urgency::Ahead);
  for (std::uint32_t i = 0; i < 4; ++i) expect_content(reader_->cached(keys[i]), 1 + i, 10 * kKiB);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, ReadAheadStopsWhereItsShareEnds) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 16; ++i) {
    keys.push_back(packs_.add_numbered(i, 1000 * kKiB));
    packs_.close();
  }
  start(16U << 20U);
  const auto slots = reader_->request(keys, Urgency::Ahead);
  const auto dropped = std::find(slots.begin(), slots.end(), nullptr);
  ASSERT_NE(dropped, slots.end());
  EXPECT_GE(dropped - slots.begin(), 3);
  EXPECT_TRUE(std::all_of(dropped, slots.end(), [](const auto& slot) { return !slot; }));
  settle(slots);
  EXPECT_EQ(ranges(), static_cast<std::size_t>(dropped - slots.begin()));
  // The last ones' memory is given back just after they are told.
  while (reader_->stats().in_flight_bytes != 0) std::this_thread::yield();
  const std::uint64_t room = reader_->room_ahead();
  EXPECT_LT(room, 8U << 20U);
  reader_->cached(keys[0]);
  EXPECT_GT(reader_->room_ahead(), room);
}

TEST_F(PackBlobReaderTest, DecodesOnTheBackendsThreadsOnlyWhereTheyAreLent) {
  const BlobKey key = packs_.add_numbered(1, 60 * kKiB);
  packs_.close();
  std::promise<std::thread::id> backends_thread;
  backend_.list(transport::FileType::Key,
                [&](const auto&) { backends_thread.set_value(std::this_thread::get_id()); });
  const std::thread::id backends = backends_thread.get_future().get();
  for (const bool lends : {false, true}) {
    backend_.lends = lends;
    start();
    backend_.set_hook([](const Call&) { return hung(); });
    const auto slots = reader_->request(std::span(&key, 1), Urgency::Demand);
    std::promise<std::thread::id> decoder;
    slots.front()->when_ready([&] { decoder.set_value(std::this_thread::get_id()); });
    backend_.set_hook({});
    backend_.release_hung();
    EXPECT_EQ(decoder.get_future().get() == backends, lends);
    expect_content(slots.front()->wait(), 1, 60 * kKiB);
  }
}

TEST_F(PackBlobReaderTest, OpensWhatIsWaitedForWhileItArrives) {
  for (std::uint32_t number = 0; number < 20; ++number) {
    const BlobKey key = packs_.add_numbered(number, 700 * kKiB, number % 4 < 2);
    packs_.close();
    backend_.lends = number % 2 == 0;
    start();
    expect_content(reader_->load(key), number, 700 * kKiB);
    EXPECT_EQ(reader_->stats().decoded_bytes, 700 * kKiB);
    EXPECT_EQ(reader_->stats().fetched_bytes, packs_.packs().back().blobs.back().length);
    EXPECT_TRUE(backend_.calls().back().arriving);
  }
}

TEST_F(PackBlobReaderTest, DoesNotOpenWhileItArrivesWhatNobodyWaitsForOrIsSmall) {
  const BlobKey large = packs_.add_numbered(1, 700 * kKiB);
  packs_.close();
  const BlobKey small = packs_.add_numbered(2, 10 * kKiB);
  packs_.close();
  for (const auto& [key, urgency, lends] :
       {std::tuple(large, Urgency::Ahead, true), std::tuple(small, Urgency::Demand, true),
        std::tuple(large, Urgency::Ahead, false), std::tuple(small, Urgency::Demand, false)}) {
    backend_.lends = lends;
    start();
    reader_->request(std::span(&key, 1), urgency).front()->wait();
    EXPECT_FALSE(backend_.calls().back().arriving);
  }
}

TEST_F(PackBlobReaderTest, WhatIsDamagedOrCutOffWhileItArrivesIsReadAgain) {
  const BlobKey key = packs_.add_numbered(1, 700 * kKiB, true);
  packs_.close();
  for (const auto& [damaged, lends] :
       {std::pair(false, false), std::pair(false, true), std::pair(true, false), std::pair(true, true)}) {
    backend_.lends = lends;
    start();
    std::atomic<int> calls{0};
    backend_.set_hook([&](const Call&) {
      if (++calls > 1) return Fault{};
      return damaged ? corrupted()
                     : Fault{.fail = {}, .fail_after = Error(Errc::Io, "a bad sector"), .truncate = {}};
    });
    expect_content(reader_->load(key), 1, 700 * kKiB);
    EXPECT_GE(calls, 2);
    EXPECT_TRUE(backend_.calls().back().arriving);
  }
  start();
  backend_.set_hook([](const Call&) { return corrupted(); });
  const Error error = load_error(key);
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("its MAC is wrong"));
}

TEST_F(PackBlobReaderTest, AnAttemptThatFailedWhileItArrivedIsForgottenBeforeTheNext) {
  struct Lending : test::FakeBackend {
    bool lends_threads() const override { return true; }
  };
  auto fake = std::make_unique<Lending>();
  Lending& backend = *fake;
  test::PackMaker packs(backend, crypto_);
  const BlobKey key = packs.add_numbered(1, 700 * kKiB, true);
  packs.close();
  transport::RetryPolicy policy;
  policy.first_wait = std::chrono::milliseconds(1);
  transport::RetryBackend retrying(std::move(fake), policy, transport::make_timer(), log_);
  const auto index = packs.index(pool_);
  PackBlobReader reader(retrying, crypto_, pool_, log_, {[&] { return index; }, [] {}}, {});
  std::atomic<int> calls{0};
  backend.set_hook([&](const Call&) {
    return ++calls > 3 ? Fault{}
                       : Fault{.fail = {}, .fail_after = Error(Errc::Timeout, "away"), .truncate = {}};
  });
  expect_content(reader.load(key), 1, 700 * kKiB);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(reader.stats().decoded_bytes, 700 * kKiB);
}

TEST_F(PackBlobReaderTest, StopsWhileBlobsArrive) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 20; ++i) {
    keys.push_back(packs_.add_numbered(i, 300 * kKiB, true));
    packs_.close();
  }
  for (int round = 0; round < 40; ++round) {
    backend_.lends = round < 20;
    start();
    const auto slots = reader_->request(keys, Urgency::Demand);
    if (round % 2 == 0) slots[static_cast<std::size_t>(round) / 2]->wait();
    reader_.reset();
    for (const auto& slot : slots) EXPECT_TRUE(slot->ready());
  }
}

TEST_F(PackBlobReaderTest, DemandGoesBeforeQueuedReadAheadAndTakesItAlong) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 20; ++i) {
    keys.push_back(packs_.add_numbered(i, 100 * kKiB));
    packs_.close();
  }
  const BlobKey urgent = packs_.add_numbered(99, 100 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return hung(); });
  const auto ahead = reader_->request(keys, Urgency::Ahead);
  const std::size_t started = backend_.parallelism();
  backend_.wait_for_hung(started);
  EXPECT_EQ(ranges(), started);  // the rest is queued
  const auto demanded = reader_->request(std::span(&urgent, 1), Urgency::Demand);
  const auto joined = reader_->request(std::span(&keys.back(), 1), Urgency::Demand);
  backend_.wait_for_hung(started + 2);
  const auto calls = backend_.calls();
  EXPECT_EQ(calls[started].urgency, Urgency::Demand);
  EXPECT_EQ(calls[started + 1].urgency, Urgency::Demand);
  EXPECT_EQ(joined.front(), ahead.back());
  backend_.set_hook({});
  backend_.release_hung();
  expect_content(demanded.front()->wait(), 99, 100 * kKiB);
  expect_content(joined.front()->wait(), 19, 100 * kKiB);
  settle(ahead);
  EXPECT_EQ(ranges(), 21U);
}

TEST_F(PackBlobReaderTest, MemoryStaysWithinTheBudget) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 60; ++i) {
    keys.push_back(packs_.add_numbered(i, 700 * kKiB, i % 2 == 0));
    if (i % 5 == 4) packs_.close();
  }
  constexpr std::uint64_t kBudget = 8U << 20U;
  start(kBudget);
  std::atomic<std::uint64_t> most{0};
  backend_.set_hook([&](const Call&) {
    const BlobReaderStats stats = reader_->stats();
    most = std::max<std::uint64_t>(most, stats.cached_bytes + stats.in_flight_bytes);
    return Fault{};
  });
  std::vector<std::jthread> readers;
  for (std::size_t r = 0; r < 4; ++r) {
    readers.emplace_back([&, r] {
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::size_t at = (i + r * 15) % keys.size();
        reader_->request(std::span(keys).subspan(at, std::min<std::size_t>(4, keys.size() - at)),
                         Urgency::Ahead);
        expect_content(reader_->load(keys[at]), static_cast<std::uint32_t>(at), 700 * kKiB);
      }
    });
  }
  readers.clear();
  EXPECT_LE(most, kBudget);
  EXPECT_GT(most, 0U);
  EXPECT_EQ(reader_->stats().budget_bytes, kBudget);
}

TEST_F(PackBlobReaderTest, ABlobLargerThanTheBudgetIsReadAllTheSame) {
  const auto keys = add_many(1, 3, 3000 * kKiB);
  packs_.close();
  start(1U << 20U);
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 3; ++i) expect_content(slots[i]->wait(), 1 + i, 3000 * kKiB);
  EXPECT_EQ(reader_->stats().cached_bytes, 0U);
}

TEST_F(PackBlobReaderTest, NeighboursOfASmallFileComeInOneRangeAndOnlyOnce) {
  const auto keys = add_many(1, 40, 4 * kKiB);
  const BlobKey large = packs_.add_numbered(77, 600 * kKiB);
  packs_.close();
  start();
  reader_->load(keys[10]);
  backend_.forget_calls();
  std::promise<void> all;
  reader_->request_neighbours(keys[10], 64 * kKiB);
  settle(reader_->request(keys, Urgency::Ahead));  // joins what is under way, asks for the rest
  const std::size_t asked = ranges();
  EXPECT_LE(asked, 4U);
  for (int again = 0; again < 3; ++again) reader_->request_neighbours(keys[10], 64 * kKiB);
  EXPECT_EQ(ranges(), asked);
  EXPECT_EQ(reader_->cached(large), nullptr);
}

TEST_F(PackBlobReaderTest, ASlotTellsWhenItIsReady) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  std::promise<void> told;
  const auto slot = reader_->request(std::span(&key, 1), Urgency::Demand).front();
  slot->when_ready([&] { told.set_value(); });
  told.get_future().get();
  EXPECT_TRUE(slot->ready());
  bool at_once = false;
  slot->when_ready([&] { at_once = true; });
  EXPECT_TRUE(at_once);
}

TEST_F(PackBlobReaderTest, ShuttingDownCancelsWhoeverWaits) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 20; ++i) {
    keys.push_back(packs_.add_numbered(i, 10 * kKiB));
    packs_.close();
  }
  start();
  backend_.set_hook([](const Call&) { return hung(); });
  const auto slots = reader_->request(keys, Urgency::Demand);
  backend_.wait_for_hung(1);
  reader_.reset();
  for (const auto& slot : slots) {
    try {
      slot->wait();
      ADD_FAILURE() << "delivered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Cancelled);
    }
  }
  backend_.release_hung();  // late answers find nobody
}

TEST_F(PackBlobReaderTest, ShuttingDownInTheMiddleOfAnythingIsSafe) {
  std::vector<BlobKey> keys;
  for (std::uint32_t i = 0; i < 40; ++i) {
    // Every other one is large enough to be hashed beside others, at the desk.
    keys.push_back(packs_.add_numbered(i, (i % 2 == 0 ? 50 : 100) * kKiB, true));
    if (i % 3 == 2) packs_.close();
  }
  packs_.close();
  backend_.set_hook([n = std::make_shared<std::atomic<int>>(0)](const Call&) {
    return (*n)++ % 4 == 0 ? corrupted() : Fault{};
  });
  for (int round = 0; round < 30; ++round) {
    start(4U << 20U);
    const auto ahead = reader_->request(keys, Urgency::Ahead);
    const auto demand = reader_->request(std::span(keys).subspan(10), Urgency::Demand);
    reader_->request_neighbours(keys[static_cast<std::size_t>(round)], 1U << 20U);
    if (round % 2 == 0) demand.front()->when_ready([] {});
    // In later rounds more of it has arrived and is being decoded.
    std::this_thread::sleep_for(std::chrono::microseconds(200) * round);
    reader_.reset();
    for (const auto& slot : demand) EXPECT_TRUE(slot->ready());
  }
}

}  // namespace
}  // namespace restic::repo
