// SPDX-License-Identifier: MIT
#include "fs/closed_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <future>
#include <utility>

#include "support/fake_snapshot_maker.h"

namespace restic::fs {
namespace {

class ClosedFilesTest : public testing::Test {
 protected:
  static StagedNodePtr some_file() {
    UniqueFd fd(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return StagedNodes::make_top(std::move(fd), status);
  }

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

}  // namespace
}  // namespace restic::fs
