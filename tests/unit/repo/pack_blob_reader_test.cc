// SPDX-License-Identifier: MIT
#include "repo/pack_blob_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "support/index_material.h"
#include "support/pack_material.h"

namespace restic::repo {
namespace {

using test::Call;
using test::fail_with;
using test::Fault;
using test::numbered_content;
using transport::Urgency;

constexpr std::size_t kKiB = 1024;

Fault corrupted() { return {.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = true}; }
Fault hung() { return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; }

struct LendingBackend : test::FakeBackend {
  bool lends = false;
  bool lends_threads() const override { return lends; }
};

class PackBlobReaderTest : public testing::Test {
 protected:
  // Call after the packs are made.
  void start(std::uint64_t memory = 64U << 20U) {
    index_ = packs_.index(pool_);
    BlobReaderOptions options;
    options.memory_bytes = memory;
    options.refresh_pause = std::chrono::milliseconds(1);
    reader_ = std::make_unique<PackBlobReader>(backend_, crypto_, pool_, log_,
                                               IndexSource{[this] {
                                                             std::lock_guard lock(mutex_);
                                                             return index_;
                                                           },
                                                           [this] { refresh(); }},
                                               options);
  }

  void refresh() {
    ++refreshes_;
    if (on_refresh_) on_refresh_();
  }

  void publish(std::shared_ptr<const Index> index) {
    std::lock_guard lock(mutex_);
    index_ = std::move(index);
  }

  Error load_error(const BlobKey& key) {
    try {
      reader_->load(key);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return {Errc::Io, ""};
  }

  std::vector<BlobKey> add_many(std::uint32_t first, std::uint32_t count, std::size_t size) {
    std::vector<BlobKey> keys;
    for (std::uint32_t i = 0; i < count; ++i) keys.push_back(packs_.add_numbered(first + i, size));
    return keys;
  }

  static void expect_content(const BlobPtr& blob, std::uint32_t number, std::size_t size) {
    EXPECT_TRUE(std::ranges::equal(blob->bytes, numbered_content(number, size)));
  }

  std::size_t ranges() const { return backend_.count(Call::Kind::LoadRange); }

  // Waits until every blob asked for ahead has landed.
  static void settle(const std::vector<BlobSlotPtr>& slots) {
    for (const BlobSlotPtr& slot : slots) {
      if (slot) slot->wait();
    }
  }

  LendingBackend backend_;
  Crypto crypto_{test::test_key()};
  CpuPool pool_{2};
  Log log_{Log::Sink::Nothing};
  test::PackMaker packs_{backend_, crypto_};
  std::mutex mutex_;
  std::shared_ptr<const Index> index_;
  std::atomic<int> refreshes_{0};
  std::function<void()> on_refresh_;
  std::unique_ptr<PackBlobReader> reader_;
};

TEST_F(PackBlobReaderTest, ReadsPlainAndCompressedBlobsOfBothTypes) {
  const BlobKey plain = packs_.add_numbered(1, 100 * kKiB, false);
  const BlobKey packed = packs_.add_numbered(2, 100 * kKiB, true);
  const BlobKey tree = packs_.add(as_bytes("{\"nodes\":[]}\n"), BlobType::Tree);
  const BlobKey empty = packs_.add({}, BlobType::Data, false);
  packs_.close();
  start();
  expect_content(reader_->load(plain), 1, 100 * kKiB);
  expect_content(reader_->load(packed), 2, 100 * kKiB);
  EXPECT_EQ(as_text(reader_->load(tree)->bytes), "{\"nodes\":[]}\n");
  EXPECT_TRUE(reader_->load(empty)->bytes.empty());
  EXPECT_EQ(reader_->plain_size(packed), 100 * kKiB);
}

TEST_F(PackBlobReaderTest, EightNeighboursAreOneRange) {
  const auto keys = add_many(1, 8, 20 * kKiB);
  packs_.close();
  start();
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 8; ++i) expect_content(slots[i]->wait(), 1 + i, 20 * kKiB);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, ABlobIsFetchedOnceAndThenCached) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  EXPECT_EQ(reader_->cached(key), nullptr);
  const BlobPtr first = reader_->load(key);
  EXPECT_EQ(reader_->cached(key), first);
  EXPECT_TRUE(reader_->request(std::span(&key, 1), Urgency::Demand).front()->ready());
  EXPECT_EQ(reader_->load(key), first);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, EightReadersOfOneBlobDecodeItOnce) {
  const BlobKey key = packs_.add_numbered(1, 1000 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return hung(); });
  std::vector<BlobSlotPtr> slots;
  for (int i = 0; i < 8; ++i) slots.push_back(reader_->request(std::span(&key, 1), Urgency::Demand).front());
  std::vector<std::future<BlobPtr>> readers;
  for (const BlobSlotPtr& slot : slots) {
    readers.push_back(std::async(std::launch::async, [slot] { return slot->wait(); }));
  }
  backend_.wait_for_hung(1);
  backend_.release_hung();
  const BlobPtr blob = readers.front().get();
  for (std::size_t i = 1; i < readers.size(); ++i) EXPECT_EQ(readers[i].get(), blob);
  EXPECT_EQ(ranges(), 1U);
  EXPECT_EQ(reader_->stats().decoded_bytes, 1000 * kKiB);
}

TEST_F(PackBlobReaderTest, AKeyAskedForTwiceInOneCallIsOneFlight) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  const std::vector<BlobKey> keys{key, key};
  const auto slots = reader_->request(keys, Urgency::Demand);
  EXPECT_EQ(slots[0]->wait(), slots[1]->wait());
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, ASmallPlainBlobDoesNotKeepItsRange) {
  const auto keys = add_many(1, 16, 4 * kKiB);
  packs_.close();
  start();
  settle(reader_->request(keys, Urgency::Demand));
  EXPECT_EQ(ranges(), 1U);
  EXPECT_LE(reader_->load(keys[3])->charged, 5 * kKiB);
}

TEST_F(PackBlobReaderTest, ALargePlainBlobIsNotCopied) {
  const BlobKey key = packs_.add_numbered(1, 1000 * kKiB);
  packs_.close();
  start();
  const BlobPtr blob = reader_->load(key);
  EXPECT_EQ(blob->charged, 1000 * kKiB + kSealOverhead);
}

TEST_F(PackBlobReaderTest, ABlobInNoIndexIsNotFound) {
  packs_.add_numbered(1, 10);
  packs_.close();
  start();
  const BlobKey unknown{BlobType::Data, test::numbered_id(5)};
  EXPECT_EQ(load_error(unknown).code(), Errc::NotFound);
  EXPECT_EQ(reader_->plain_size(unknown), std::nullopt);
  EXPECT_EQ(ranges(), 0U);
}

TEST_F(PackBlobReaderTest, CorruptionOnTheLineIsReadOnceMore) {
  const auto keys = add_many(1, 2, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([this](const Call&) { return ranges() == 1 ? corrupted() : Fault{}; });
  const auto slots = reader_->request(keys, Urgency::Demand);
  expect_content(slots[0]->wait(), 1, 10 * kKiB);
  expect_content(slots[1]->wait(), 2, 10 * kKiB);
  EXPECT_EQ(ranges(), 2U);
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(PackBlobReaderTest, TheRestOfATruncatedPackStaysReadable) {
  const auto keys = add_many(1, 4, 10 * kKiB);
  const Id pack = packs_.close();
  Bytes cut = *backend_.get(test::pack_file(pack));
  cut.resize(cut.size() - 5);
  backend_.put(test::pack_file(pack), cut);
  start();
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 3; ++i) expect_content(slots[i]->wait(), 1 + i, 10 * kKiB);
  const Error error = load_error(keys[3]);
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr(keys[3].id.short_hex()));
  EXPECT_THAT(error.what(), testing::HasSubstr("data/" + pack.hex()));
}

TEST_F(PackBlobReaderTest, ABadSectorSpoilsOnlyTheBlobThatIsOnIt) {
  const auto keys = add_many(1, 4, 10 * kKiB);
  packs_.close();
  start();
  const std::uint64_t bad = packs_.packs()[0].blobs[2].offset + 100;
  backend_.set_hook([bad](const Call& call) {
    const bool touches = call.kind == Call::Kind::LoadRange && call.range.offset <= bad &&
                         bad < call.range.offset + call.range.length;
    return touches ? fail_with(Errc::Io) : Fault{};
  });
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (const std::uint32_t good : {0U, 1U, 3U}) expect_content(slots[good]->wait(), 1 + good, 10 * kKiB);
  EXPECT_EQ(load_error(keys[2]).code(), Errc::Io);
}

TEST_F(PackBlobReaderTest, AnotherCopyIsReadWhenOneIsDamaged) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  const Id first = packs_.close();
  packs_.add_numbered(1, 10 * kKiB);
  const Id second = packs_.close();
  for (const Id& damaged : {first, second}) {
    backend_.set_hook(
        [&](const Call& call) { return call.file.name == damaged.hex() ? corrupted() : Fault{}; });
    start();
    expect_content(reader_->load(key), 1, 10 * kKiB);
  }
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(PackBlobReaderTest, AnotherCopyIsReadWhenAPackIsMissing) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  const Id first = packs_.close();
  packs_.add_numbered(1, 10 * kKiB);
  const Id second = packs_.close();
  for (const Id& missing : {first, second}) {
    const Bytes kept = *backend_.get(test::pack_file(missing));
    backend_.drop(test::pack_file(missing));
    start();
    expect_content(reader_->load(key), 1, 10 * kKiB);
    backend_.put(test::pack_file(missing), kept);
  }
}

TEST_F(PackBlobReaderTest, ABlobThatPruneMovedIsFoundThroughAFreshIndex) {
  const auto keys = add_many(1, 3, 10 * kKiB);
  const Id old_pack = packs_.close();
  start();
  backend_.drop(test::pack_file(old_pack));
  on_refresh_ = [&] {
    test::PackMaker pruned(backend_, crypto_);
    for (std::uint32_t i = 0; i < 3; ++i) pruned.add_numbered(1 + i, 10 * kKiB);
    pruned.close();
    publish(pruned.index(pool_));
  };
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 3; ++i) expect_content(slots[i]->wait(), 1 + i, 10 * kKiB);
  EXPECT_EQ(refreshes_, 1);
}

TEST_F(PackBlobReaderTest, ADamagedPackAsksForAFreshIndexOnceOnly) {
  const auto keys = add_many(1, 5, 10 * kKiB);
  const Id pack = packs_.close();
  start();
  backend_.drop(test::pack_file(pack));
  for (const BlobKey& key : keys) {
    const Error error = load_error(key);
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_THAT(error.what(), testing::HasSubstr("data/" + pack.hex() + ": the pack is missing"));
  }
  EXPECT_EQ(refreshes_, 1);
}

TEST_F(PackBlobReaderTest, AFailedRefreshLeavesTheFirstError) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return corrupted(); });
  on_refresh_ = [] { throw Error(Errc::Unavailable, "the network is down"); };
  const Error error = load_error(key);
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("MAC"));
}

TEST_F(PackBlobReaderTest, AnOutageIsReportedAtOnceAndTheNextReadWorks) {
  const auto keys = add_many(1, 3, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return fail_with(Errc::Unavailable); });
  for (const auto& slot : reader_->request(keys, Urgency::Demand)) {
    EXPECT_THROW(slot->wait(), Error);
  }
  EXPECT_EQ(ranges(), 1U);
  EXPECT_EQ(refreshes_, 0);
  backend_.set_hook({});
  expect_content(reader_->load(keys[1]), 2, 10 * kKiB);
}

TEST_F(PackBlobReaderTest, ABlobOfAnotherContentIsDamaged) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  packs_.packs()[0].blobs[0].key.id = test::numbered_id(9);
  start();
  const Error error = load_error({BlobType::Data, test::numbered_id(9)});
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("content"));
  EXPECT_EQ(load_error(key).code(), Errc::NotFound);
}

TEST_F(PackBlobReaderTest, AFalseUncompressedLengthIsDamaged) {
  const BlobKey key = packs_.add(Bytes(10 * kKiB, 'x'), BlobType::Data, true);
  packs_.close();
  for (const std::uint32_t claimed : {1U, 10U * 1024 - 1, 10U * 1024 + 1, 1U << 20U}) {
    packs_.packs()[0].blobs[0].uncompressed_length = claimed;
    start();
    EXPECT_EQ(load_error(key).code(), Errc::Damaged) << claimed;
  }
}

TEST_F(PackBlobReaderTest, NoMemoryIsTakenOnTheWordOfAnIndex) {
  const BlobKey key = packs_.add_numbered(1, 100);
  packs_.close();
  packs_.packs()[0].blobs[0].length = 1U << 30U;
  start();
  EXPECT_EQ(load_error(key).code(), Errc::Damaged);
  EXPECT_EQ(ranges(), 0U);
}

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
  const std::uint64_t room = reader_->room_ahead();
  EXPECT_LT(room, 8U << 20U);
  reader_->cached(keys[0]);
  EXPECT_GT(reader_->room_ahead(), room);
}

TEST_F(PackBlobReaderTest, DecodesOnTheBackendsThreadsOnlyWhereTheyAreLent) {
  const BlobKey key = packs_.add_numbered(1, 100 * kKiB);
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
    expect_content(slots.front()->wait(), 1, 100 * kKiB);
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
    keys.push_back(packs_.add_numbered(i, 50 * kKiB, true));
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
    reader_.reset();
    for (const auto& slot : demand) EXPECT_TRUE(slot->ready());
  }
}

}  // namespace
}  // namespace restic::repo
