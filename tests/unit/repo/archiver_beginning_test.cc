// SPDX-License-Identifier: MIT
// Files that are stored while they grow.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "repo/archiver.h"
#include "repo/chunker.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using transport::FileType;

constexpr std::size_t kMebi = 1U << 20U;

std::string random_text(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(size, '\0');
  std::ranges::generate(text, [&] { return static_cast<char>(random()); });
  return text;
}

class ArchiverBeginningTest : public testing::Test {
 protected:
  ArchiverBeginningTest() {
    ArchiverOptions options;
    options.owner = {"my-host", "me", 0, 0};
    options.changes_are_reported = true;
    options.idle_release = 0ms;
    archiver_ = std::make_unique<Archiver>(made_.repository(), std::move(options), clock_);
  }

  // Returns when it is stored and the lock has been given back.
  void store_beginning(std::uint64_t bytes) {
    std::promise<void> unlocked;
    made_.backend().set_hook([&](const Call& call) -> Fault {
      if (call.kind == Call::Kind::Remove) unlocked.set_value();
      return {};
    });
    archiver_->store_beginning(folder_.open("file"), bytes);
    unlocked.get_future().wait();
    made_.backend().set_hook({});
  }
  void hold_packs() {
    made_.backend().set_hook([](const Call& call) -> Fault {
      Fault fault;
      fault.hang = call.kind == Call::Kind::Save && call.file.type == FileType::Pack;
      return fault;
    });
  }
  void let_packs_go() {
    made_.backend().set_hook({});
    made_.backend().release_hung();
  }
  void tell_of_change() {
    struct stat facts {};
    ASSERT_EQ(::stat((folder_.path() / "file").c_str(), &facts), 0);
    archiver_->content_changed(facts.st_dev, facts.st_ino);
  }
  std::vector<Id> chunks_of(const std::string& content) {
    const Chunker chunker(made_.repository().config().chunker_polynomial);
    std::vector<Id> ids;
    for (ByteView rest = as_bytes(content); !rest.empty();) {
      const std::size_t size = chunker.find_end(rest).value_or(rest.size());
      ids.push_back(Id::of(rest.first(size)));
      rest = rest.subspan(size);
    }
    return ids;
  }
  std::vector<Id> archived_chunks() {
    ArchiveOptions options;
    options.hostname = "my-host";
    ArchiveProgress progress;
    const Snapshot snapshot = archiver_->archive(folder_.open().get(), options, progress, {});
    EXPECT_EQ(progress.bytes_done, progress.bytes_total);
    EXPECT_EQ(made_.check_consistency(), 1U);
    made_.repository().refresh_index();
    const Node file = made_.repository().tree(snapshot.tree)->node(0);
    return {file.content.begin(), file.content.end()};
  }

  // By this process, from files.
  static std::uint64_t bytes_read() {
    std::ifstream io("/proc/self/io");
    std::string name;
    std::uint64_t bytes = 0;
    io >> name >> bytes;
    EXPECT_EQ(name, "rchar:");
    return bytes;
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  std::unique_ptr<Archiver> archiver_;
};

TEST_F(ArchiverBeginningTest, TheChunksAreThoseOfTheWholeFile) {
  const std::string content = random_text(45 * kMebi + 1234, 1);
  for (const std::size_t so_far : {20 * kMebi, 33 * kMebi + 7, 45 * kMebi + 1234}) {
    folder_.file("file", content.substr(0, so_far));
    store_beginning(so_far);
  }
  EXPECT_GT(made_.backend().names(FileType::Pack).size(), 1U);
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

// Where the file system can tell that a read would wait, the reader does so in another way.
TEST_F(ArchiverBeginningTest, AFileThatIsNotInMemoryIsReadFromTheDisk) {
  const std::string content = random_text(20 * kMebi, 8);
  folder_.file("file", content);
  const UniqueFd file = folder_.open("file");
  ASSERT_EQ(::fsync(file.get()), 0);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

TEST_F(ArchiverBeginningTest, WhatIsStoredIsNotReadAgain) {
  const std::string content = random_text(30 * kMebi, 2);
  folder_.file("file", content.substr(0, 20 * kMebi));
  store_beginning(20 * kMebi);
  std::string other = content;
  other[0] = static_cast<char>(~other[0]);  // unreported, which shows that it is not looked at
  folder_.file("file", other);
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

TEST_F(ArchiverBeginningTest, AChangeThatIsToldOfIsInTheSnapshot) {
  std::string content = random_text(30 * kMebi, 3);
  folder_.file("file", content.substr(0, 20 * kMebi));
  store_beginning(20 * kMebi);
  content[0] = static_cast<char>(~content[0]);
  folder_.file("file", content);
  tell_of_change();
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

TEST_F(ArchiverBeginningTest, AnEarlierStretchThatComesLateReadsNothingBeyondItsEnd) {
  const std::string content = random_text(60 * kMebi, 6);
  folder_.file("file", content);
  store_beginning(40 * kMebi);
  store_beginning(20 * kMebi);
  std::string other = content;
  other[50 * kMebi] = static_cast<char>(~other[50 * kMebi]);  // unreported, for it lies beyond all stretches
  folder_.file("file", other);
  EXPECT_EQ(archived_chunks(), chunks_of(other));
}

TEST_F(ArchiverBeginningTest, AFileThatIsCompleteWhileAStretchIsBeingReadIsReadOnce) {
  const std::string content = random_text(150 * kMebi, 7);
  folder_.file("file", content);
  hold_packs();
  const std::uint64_t before = bytes_read();
  archiver_->store_beginning(folder_.open("file"), 140 * kMebi);
  made_.backend().wait_for_hung(1);  // the stretch is longer than what may be on its way
  archiver_->store_ahead(folder_.open("file"));
  let_packs_go();
  EXPECT_EQ(archived_chunks(), chunks_of(content));
  EXPECT_LT(bytes_read() - before, 170 * kMebi);  // a chunk that is begun is read again
}

TEST_F(ArchiverBeginningTest, AStretchThatComesWhileAnotherIsBeingReadIsStoredAfterIt) {
  const std::string content = random_text(150 * kMebi, 8);
  folder_.file("file", content);
  hold_packs();
  const std::uint64_t before = bytes_read();
  archiver_->store_beginning(folder_.open("file"), 110 * kMebi);
  made_.backend().wait_for_hung(1);  // the stretch is longer than what may be on its way
  archiver_->store_beginning(folder_.open("file"), 140 * kMebi);
  archiver_->store_beginning(folder_.open("file"), 120 * kMebi);
  std::this_thread::sleep_for(50ms);  // somebody has looked at them by now; or else stores them later
  let_packs_go();
  for (int patience = 0; patience < 3000 && bytes_read() - before < 140 * kMebi; ++patience) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GE(bytes_read() - before, 140 * kMebi) << "a stretch was forgotten";
  EXPECT_EQ(archived_chunks(), chunks_of(content));
  EXPECT_LT(bytes_read() - before, 170 * kMebi);
}

TEST_F(ArchiverBeginningTest, OfAFileThatIsShorterNowNothingIsStored) {
  const std::string content = random_text(10 * kMebi, 4);
  folder_.file("file", content);
  archiver_->store_beginning(folder_.open("file"), 20 * kMebi);
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

TEST_F(ArchiverBeginningTest, WhatAPruneRemovedIsStoredAgain) {
  const std::string content = random_text(30 * kMebi, 5);
  folder_.file("file", content.substr(0, 20 * kMebi));
  store_beginning(20 * kMebi);
  for (const FileType type : {FileType::Index, FileType::Pack}) {
    for (const std::string& name : made_.backend().names(type)) made_.backend().drop({type, name});
  }
  folder_.file("file", content);
  EXPECT_EQ(archived_chunks(), chunks_of(content));
}

}  // namespace
}  // namespace restic::repo
