// SPDX-License-Identifier: MIT
#include "fs/closed_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <set>
#include <utility>

#include "support/fake_snapshot_maker.h"

namespace restic::fs {
namespace {

constexpr std::uint64_t kMiB = 1U << 20U;

class ClosedFilesTest : public testing::Test {
 protected:
  static StagedNodePtr some_file() {
    UniqueFd fd(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return StagedNodes::make_top(std::move(fd), status);
  }

  void SetUp() override { ASSERT_EQ(::ftruncate(full_.get(), 1), 0); }

  UniqueFd empty_{::memfd_create("empty", MFD_CLOEXEC)};
  UniqueFd full_{::memfd_create("full", MFD_CLOEXEC)};
  StagedNodes nodes_{16};
  test::FakeSnapshotMaker maker_;
  ClosedFiles files_{nodes_, maker_, std::chrono::hours(1)};
};

TEST_F(ClosedFilesTest, WhoAwaitsTheWritersGoesOnAsSoonAsTheLastHasClosed) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file);
  files_.opened_for_writing(file);
  auto waiting = std::async(std::launch::async, [this] { files_.await_writers(std::chrono::hours(1)); });
  files_.closed_after_writing(file);
  EXPECT_TRUE(files_.any_writer());
  files_.closed_after_writing(file);
  waiting.get();
  EXPECT_FALSE(files_.any_writer());
}

TEST_F(ClosedFilesTest, AFileThatStaysOpenIsNotAwaitedForEver) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file);
  files_.await_writers(std::chrono::milliseconds(1));
  EXPECT_TRUE(files_.any_writer());
}

TEST_F(ClosedFilesTest, NothingIsOpenAfterTheMountHasEnded) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file);
  const unsigned changes = maker_.changes();
  files_.end_writers();
  EXPECT_FALSE(files_.any_writer());
  EXPECT_TRUE(files_.writers().empty());
  EXPECT_GT(maker_.changes(), changes) << "what was read while it was open may be outdated";
}

TEST_F(ClosedFilesTest, ABeginningIsHandedOverWhileTheFileGrows) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file, empty_.get());
  const unsigned changes = maker_.changes();
  for (std::uint64_t at = 0; at < 64 * kMiB; at += kMiB) files_.written(file, at, kMiB);
  EXPECT_TRUE(maker_.wait_for_beginning(32 * kMiB));
  EXPECT_TRUE(maker_.wait_for_beginning(64 * kMiB));
  files_.closed_after_writing(file);
  EXPECT_EQ(maker_.changes(), changes) << "nothing of what was handed over has changed";
}

TEST_F(ClosedFilesTest, OfALargeFileTheRestIsHandedOverWhenItIsClosed) {
  const StagedNodePtr small = some_file();
  files_.opened_for_writing(small, empty_.get());
  files_.written(small, 0, 20 * kMiB);
  files_.closed_after_writing(small);
  const StagedNodePtr large = some_file();
  files_.opened_for_writing(large, empty_.get());
  files_.written(large, 0, 40 * kMiB);
  files_.written(large, 40 * kMiB, 5 * kMiB);
  files_.closed_after_writing(large);
  EXPECT_TRUE(maker_.wait_for_beginning(45 * kMiB));
  EXPECT_EQ(maker_.beginnings(), (std::set<std::uint64_t>{40 * kMiB, 45 * kMiB})) << "a small one waits";
}

TEST_F(ClosedFilesTest, AChangeOfWhatWasWrittenIsToldAtOnceAndEndsTheHandingOver) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file, empty_.get());
  files_.written(file, 0, 40 * kMiB);
  EXPECT_TRUE(maker_.wait_for_beginning(40 * kMiB));
  // Whoever has just handed over may tell of it as well.
  unsigned changes = maker_.changes();
  files_.written(file, 5, 1);
  EXPECT_GT(maker_.changes(), changes);
  files_.written(file, 40 * kMiB, 40 * kMiB);
  changes = maker_.changes();
  files_.closed_after_writing(file);
  EXPECT_GT(maker_.changes(), changes) << "what was written meanwhile";
  EXPECT_EQ(maker_.beginnings(), (std::set<std::uint64_t>{40 * kMiB}));
}

TEST_F(ClosedFilesTest, AGapOrATruncationEndsTheHandingOver) {
  for (const bool gap : {true, false}) {
    const StagedNodePtr file = some_file();
    files_.opened_for_writing(file, empty_.get());
    files_.written(file, 0, kMiB);
    const unsigned changes = maker_.changes();
    if (gap) {
      files_.written(file, kMiB + 1, kMiB);
    } else {
      files_.changed(file);
    }
    EXPECT_EQ(maker_.changes(), changes + 1);
    files_.written(file, kMiB, 100 * kMiB);
    files_.closed_after_writing(file);
    EXPECT_EQ(maker_.changes(), changes + 2);
  }
  EXPECT_TRUE(maker_.beginnings().empty());
}

TEST_F(ClosedFilesTest, AFileThatHadContentOrASecondWriterIsHandedOverOnlyAsAWhole) {
  const StagedNodePtr had_content = some_file();
  files_.opened_for_writing(had_content, full_.get());
  files_.written(had_content, 0, 100 * kMiB);
  const StagedNodePtr two_writers = some_file();
  files_.opened_for_writing(two_writers, empty_.get());
  files_.written(two_writers, 0, kMiB);
  files_.opened_for_writing(two_writers, full_.get());
  files_.written(two_writers, kMiB, 100 * kMiB);
  const unsigned changes = maker_.changes();
  files_.closed_after_writing(had_content);
  files_.closed_after_writing(two_writers);
  EXPECT_EQ(maker_.changes(), changes + 2);
  EXPECT_TRUE(maker_.beginnings().empty());
}

TEST_F(ClosedFilesTest, TheStretchesGrowWithTheFile) {
  const StagedNodePtr file = some_file();
  files_.opened_for_writing(file, empty_.get());
  constexpr std::uint64_t kSize = 4096 * kMiB;
  for (std::uint64_t at = 0; at < kSize; at += 4 * kMiB) files_.written(file, at, 4 * kMiB);
  files_.changed(file);  // nothing is handed over after this
  EXPECT_LE(maker_.beginnings().size(), 64U);
}

}  // namespace
}  // namespace restic::fs
