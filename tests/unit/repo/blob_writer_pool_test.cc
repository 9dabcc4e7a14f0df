// SPDX-License-Identifier: MIT
// What is stored on the pool, where it is hashed beside others.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "repo/blob_writer.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/pack_material.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using test::numbered_content;
using transport::FileType;

constexpr std::size_t kKiB = 1024;

// What calls of store_on_pool() were told. Each has its place.
class Outcomes {
 public:
  BlobWriter::OnStored next() {
    const std::lock_guard lock(mutex_);
    const std::size_t place = told_.size();
    told_.emplace_back();
    return [this, place](Result<StoredBlob> stored) {
      const std::lock_guard guard(mutex_);
      told_[place].push_back(std::move(stored));
      ++count_;
      changed_.notify_all();
    };
  }
  // Blocks until as many were told as there are calls.
  void wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 60s, [&] { return count_ >= told_.size(); }));
  }
  // The only one told at that place.
  Result<StoredBlob> at(std::size_t place) const {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(told_[place].size(), 1U) << place;
    if (told_[place].size() != 1) return Error(Errc::Io, "not told once");
    return told_[place][0];
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<Result<StoredBlob>>> told_;
  std::size_t count_ = 0;
};

class BlobWriterPoolTest : public testing::Test {
 protected:
  std::unique_ptr<BlobWriter> new_writer(std::size_t pack_size) {
    return std::make_unique<BlobWriter>(
        made_.repository(), budget_, spool_, clock_, [] { return Status(Unit{}); }, pack_size);
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  MemoryBudget budget_{64U << 20U};
  PackSpool spool_{-1, made_.repository().log()};
};

TEST_F(BlobWriterPoolTest, EachChunkIsStoredOnceUnderItsOwnId) {
  std::vector<Bytes> chunks;
  std::mt19937 random(1);
  std::size_t distinct = 0;
  for (std::uint32_t i = 0; i < 200; ++i) {
    // Every fourth is equal to one before, the last of which may be on its way still.
    const bool repeats = i % 4 == 3;
    const std::size_t size = i % 16 == 0 ? 2048 * kKiB : (70 + random() % 200) * kKiB + random() % 64;
    chunks.push_back(repeats ? chunks[i - 1 - random() % 3] : numbered_content(i, size));
    distinct += repeats ? 0 : 1;
    if (!repeats && i % 8 == 1) std::fill_n(chunks.back().begin(), size / 2, 'a');  // compresses
  }
  const auto writer = new_writer(4096 * kKiB);
  Outcomes outcomes;
  for (const Bytes& chunk : chunks) writer->store_on_pool(BlobType::Data, chunk, outcomes.next());
  outcomes.wait();
  writer->flush({});
  EXPECT_EQ(budget_.used(), 0U);

  const auto repository = made_.open_again();
  Added added;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Result<StoredBlob> stored = outcomes.at(i);
    ASSERT_TRUE(stored.ok()) << stored.error().what();
    EXPECT_EQ(stored.value().id, Id::of(chunks[i])) << i;
    added += stored.value().added;
    const BlobPtr blob = repository->blobs().load({BlobType::Data, stored.value().id});
    EXPECT_TRUE(std::ranges::equal(blob->bytes, chunks[i])) << i;
  }
  EXPECT_EQ(added.data_blobs, distinct);
  made_.check_consistency();
}

TEST_F(BlobWriterPoolTest, AFailureIsToldToEachLaterCallOnce) {
  made_.backend().set_hook([this](const Call& call) -> Fault {
    const bool third = call.kind == Call::Kind::Save && call.file.type == FileType::Pack &&
                       made_.backend().count(Call::Kind::Save, FileType::Pack) >= 3;
    return third ? test::fail_with(Errc::Full) : Fault{};
  });
  std::vector<Bytes> chunks;
  for (std::uint32_t i = 0; i < 200; ++i) chunks.push_back(numbered_content(i, (70 + i % 50) * kKiB));
  const auto writer = new_writer(512 * kKiB);
  Outcomes outcomes;
  for (const Bytes& chunk : chunks) writer->store_on_pool(BlobType::Data, chunk, outcomes.next());
  outcomes.wait();
  EXPECT_THROW(writer->flush({}), Error);
  const std::size_t later = chunks.size();
  for (const Bytes& chunk : chunks) writer->store_on_pool(BlobType::Data, chunk, outcomes.next());
  outcomes.wait();
  for (std::size_t i = 0; i < 2 * chunks.size(); ++i) {
    const Result<StoredBlob> stored = outcomes.at(i);
    EXPECT_FALSE(i >= later && stored.ok()) << i;
    if (!stored.ok()) {
      EXPECT_EQ(stored.error().code(), Errc::Full) << i;
    }
  }
  writer->give_up();
  made_.check_consistency();
}

TEST_F(BlobWriterPoolTest, TheWriterMayGoAsSoonAsTheLastCallWasTold) {
  std::vector<Bytes> chunks;
  for (std::uint32_t i = 0; i < 24; ++i) chunks.push_back(numbered_content(i, (70 + i * 5) * kKiB));
  for (std::size_t round = 0; round < 40; ++round) {
    made_.backend().set_hook([n = std::make_shared<std::atomic<int>>(0), round](const Call& call) -> Fault {
      if (call.kind != Call::Kind::Save) return {};
      if (round % 4 == 3 && ++*n == 2) return test::fail_with(Errc::Full);
      Fault late;
      late.delay = std::chrono::milliseconds(round % 3);
      return late;
    });
    Outcomes outcomes;
    auto writer = new_writer(256 * kKiB);
    // Packs are on their way still, and threads on their way from the desk.
    for (std::size_t i = 0; i < 1 + round % chunks.size(); ++i) {
      writer->store_on_pool(BlobType::Data, chunks[i], outcomes.next());
    }
    outcomes.wait();
    writer.reset();
    EXPECT_EQ(budget_.used(), 0U) << round;
  }
}

}  // namespace
}  // namespace restic::repo
