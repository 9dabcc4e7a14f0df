// SPDX-License-Identifier: MIT
#include "repo/file_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stop_token>
#include <thread>

namespace restic::repo {
namespace {

using namespace std::chrono_literals;

struct stat facts_of(std::uint64_t inode, std::int64_t size, std::int64_t mtime) {
  struct stat facts {};
  facts.st_dev = 7;
  facts.st_ino = inode;
  facts.st_size = size;
  facts.st_mtim.tv_sec = mtime;
  facts.st_ctim.tv_sec = mtime;
  return facts;
}

StoredFile stored(std::uint64_t size) { return {{Id::of(as_bytes("content"))}, size, {}}; }

void remember(FileMemory& memory, const struct stat& facts) {
  memory.begin_reading(FileKey::of(facts));
  const StoredFile file = stored(static_cast<std::uint64_t>(facts.st_size));
  memory.end_reading(facts, &file);
}

TEST(FileMemory, FindsAFileAsItWasRead) {
  FileMemory memory(false);
  remember(memory, facts_of(1, 10, 100));
  ASSERT_TRUE(memory.find(facts_of(1, 10, 100)));
  EXPECT_EQ(memory.find(facts_of(1, 10, 100))->content, stored(10).content);
  EXPECT_FALSE(memory.find(facts_of(2, 10, 100)));
  EXPECT_FALSE(memory.find(facts_of(1, 11, 100)));
}

TEST(FileMemory, TimesCountUnlessChangesAreReported) {
  FileMemory careful(false);
  FileMemory told(true);
  for (FileMemory* memory : {&careful, &told}) remember(*memory, facts_of(1, 10, 100));
  EXPECT_FALSE(careful.find(facts_of(1, 10, 101)));
  EXPECT_TRUE(told.find(facts_of(1, 10, 101)));
  told.changed({7, 1});
  EXPECT_FALSE(told.find(facts_of(1, 10, 100)));
}

TEST(FileMemory, AChangeDuringReadingMakesTheResultWorthless) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const StoredFile file = stored(10);
  memory.begin_reading(FileKey::of(facts));
  memory.changed(FileKey::of(facts));
  memory.end_reading(facts, &file);
  EXPECT_FALSE(memory.find(facts));
  remember(memory, facts);
  EXPECT_TRUE(memory.find(facts));
}

TEST(FileMemory, WhoAwaitsAReaderFindsWhatThatOneFoundOut) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  memory.begin_reading(FileKey::of(facts));
  memory.begin_reading(FileKey::of(facts_of(2, 10, 100)));  // goes on all the time
  std::atomic<bool> was_ending{false};
  std::promise<void> begun;
  std::promise<bool> found;
  std::future<bool> outcome = found.get_future();
  std::jthread waiting([&](const std::stop_token& stop) {
    begun.set_value();
    memory.await_readers(FileKey::of(facts), stop);
    EXPECT_TRUE(was_ending) << "it did not wait for the reader";
    found.set_value(memory.find(facts).has_value());
  });
  begun.get_future().wait();
  // Long enough for one who does not wait to be found out.
  EXPECT_EQ(outcome.wait_for(50ms), std::future_status::timeout);
  const StoredFile file = stored(10);
  was_ending = true;
  memory.end_reading(facts, &file);
  EXPECT_TRUE(outcome.get());
}

TEST(FileMemory, AwaitingAReaderEndsWhenAskedToStop) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  memory.await_readers(FileKey::of(facts), {});  // nobody
  memory.begin_reading(FileKey::of(facts));
  std::stop_source stop;
  std::jthread stopper([&stop] { stop.request_stop(); });
  memory.await_readers(FileKey::of(facts), stop.get_token());
  EXPECT_FALSE(memory.find(facts));
}

TEST(FileMemory, OneAtATimeWaitsToReadAFileNext) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const FileKey key = FileKey::of(facts);
  std::stop_source stop;
  const auto begin_next = [&] {
    return std::async(std::launch::async, [&] { return memory.begin_reading_next(key, stop.get_token()); });
  };
  ASSERT_TRUE(memory.begin_reading_next(key, {}));  // nobody reads it
  for (int round = 0; round < 2; ++round) {
    std::future<bool> one = begin_next();
    std::future<bool> other = begin_next();
    while (one.wait_for(1ms) != std::future_status::ready &&
           other.wait_for(1ms) != std::future_status::ready) {
    }
    if (one.wait_for(0ms) == std::future_status::ready) std::swap(one, other);
    EXPECT_FALSE(other.get()) << "one waits already";
    EXPECT_EQ(one.wait_for(50ms), std::future_status::timeout) << "it did not wait";
    memory.end_reading(facts, nullptr);
    EXPECT_TRUE(one.get());
    EXPECT_FALSE(memory.try_begin_reading(key, 0));
  }
  std::future<bool> stopped = begin_next();
  EXPECT_EQ(stopped.wait_for(50ms), std::future_status::timeout);
  stop.request_stop();
  EXPECT_FALSE(stopped.get());
  stop = std::stop_source();
  std::future<bool> last = begin_next();
  EXPECT_EQ(last.wait_for(50ms), std::future_status::timeout) << "nobody else waits any more";
  memory.end_reading(facts, nullptr);
  EXPECT_TRUE(last.get());
}

TEST(FileMemory, ABeginningIsNoFile) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const StoredFile file = stored(10);
  ASSERT_TRUE(memory.try_begin_reading(FileKey::of(facts), 0));
  EXPECT_FALSE(memory.try_begin_reading(FileKey::of(facts), 0));
  memory.end_reading_beginning(facts, &file);
  EXPECT_FALSE(memory.find(facts)) << "though it is as long as that";
  ASSERT_TRUE(memory.find_beginning(FileKey::of(facts)));
  EXPECT_EQ(memory.find_beginning(FileKey::of(facts))->content, file.content);
  remember(memory, facts);
  EXPECT_TRUE(memory.find(facts));
  EXPECT_FALSE(memory.find_beginning(FileKey::of(facts)));
  ASSERT_TRUE(memory.try_begin_reading(FileKey::of(facts), 0));
  memory.end_reading_beginning(facts, &file);
  EXPECT_TRUE(memory.find(facts)) << "a late beginning says less than is known";
}

TEST(FileMemory, ABeginningThatChangesIsForgotten) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const StoredFile file = stored(10);
  ASSERT_TRUE(memory.try_begin_reading(FileKey::of(facts), 0));
  memory.end_reading_beginning(facts, &file);
  memory.changed(FileKey::of(facts));
  EXPECT_FALSE(memory.find_beginning(FileKey::of(facts)));
  ASSERT_TRUE(memory.try_begin_reading(FileKey::of(facts), 0));
  memory.changed(FileKey::of(facts));
  memory.end_reading_beginning(facts, &file);
  EXPECT_FALSE(memory.find_beginning(FileKey::of(facts))) << "it changed while it was read";
  ASSERT_TRUE(memory.try_begin_reading(FileKey::of(facts), 0));
  memory.end_reading_beginning(facts, nullptr);
  EXPECT_FALSE(memory.find_beginning(FileKey::of(facts)));
}

TEST(FileMemory, WhoReadsABeginningHearsHowMuchOthersWanted) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const FileKey key = FileKey::of(facts);
  const StoredFile file = stored(10);
  for (const StoredFile* const result : {&file, static_cast<const StoredFile*>(nullptr)}) {
    ASSERT_TRUE(memory.try_begin_reading(key, 20));
    EXPECT_FALSE(memory.try_begin_reading(key, 40));
    EXPECT_FALSE(memory.try_begin_reading(key, 30));
    EXPECT_EQ(memory.end_reading_beginning(facts, result), 40U);
    ASSERT_TRUE(memory.try_begin_reading(key, 40));
    EXPECT_EQ(memory.end_reading_beginning(facts, result), 0U) << "it was said already";
  }
  ASSERT_TRUE(memory.try_begin_reading(key, 20));
  EXPECT_FALSE(memory.try_begin_reading(key, 40));
  memory.changed(key);
  EXPECT_EQ(memory.end_reading_beginning(facts, &file), 0U) << "of what it was before";
}

TEST(FileMemory, AFileThatWasLongerOrShorterThanItsSizeIsNotRemembered) {
  FileMemory memory(true);
  const struct stat facts = facts_of(1, 10, 100);
  const StoredFile file = stored(9);
  memory.begin_reading(FileKey::of(facts));
  memory.end_reading(facts, &file);
  EXPECT_FALSE(memory.find(facts));
}

TEST(FileMemory, ForgetsTheOldestFirst) {
  FileMemory memory(false);
  constexpr std::uint64_t kMany = 500100;
  for (std::uint64_t inode = 1; inode <= kMany; ++inode) remember(memory, facts_of(inode, 10, 100));
  EXPECT_FALSE(memory.find(facts_of(1, 10, 100)));
  EXPECT_TRUE(memory.find(facts_of(kMany, 10, 100)));
}

TEST(FileMemory, AFileReadOftenDoesNotPushOthersOut) {
  FileMemory memory(false);
  remember(memory, facts_of(1, 10, 100));
  for (int i = 0; i < 1000; ++i) remember(memory, facts_of(2, 10, 100));
  EXPECT_TRUE(memory.find(facts_of(1, 10, 100)));
}

}  // namespace
}  // namespace restic::repo
