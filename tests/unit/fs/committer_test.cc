// SPDX-License-Identifier: MIT
// What becomes of drops, seen from `new/`.
#include "fs/committer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <string>
#include <thread>

#include "fs/state_files.h"
#include "support/staged_mount.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;

class CommitterTest : public test::StagedMount {};

TEST_F(CommitterTest, AFailedCommitIsToldToTheSyncerAndTriedAgain) {
  CommitterOptions options;
  options.first_retry = 10ms;
  mount(options);
  maker_.fail_next(Errc::Full);
  put("file", "content");
  EXPECT_EQ(sync_new(), ENOSPC);
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "content");
}

TEST_F(CommitterTest, ADropThatIsASnapshotSoonNeverWaitsForTheLocalDisk) {
  CommitterOptions options;
  options.sync_after = 1h;
  mount(options);
  maker_.hold();
  put("file", "content");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  EXPECT_TRUE(stdfs::exists(trays() / ("00000001.sealed." + boot_id())))
      << "it says that it may not be there";
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
}

TEST_F(CommitterTest, ADropThatTakesLongGoesToTheLocalDisk) {
  CommitterOptions options;
  options.sync_after = 1ms;
  mount(options);
  maker_.hold();
  put("file", "content");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays() / "00000001.sealed"); }));
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
}

TEST_F(CommitterTest, ADropThatWaitsLongForAnotherGoesToTheLocalDisk) {
  CommitterOptions options;
  options.sync_after = 1ms;
  mount(options);
  maker_.hold();
  put("first", "1");
  life_->committer().commit([](const Status&) {});
  ASSERT_TRUE(maker_.wait_for_tries(1));
  put("second", "2");
  life_->committer().commit([](const Status&) {});
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays() / "00000002.sealed"); }));
  EXPECT_EQ(maker_.tries(), 1U);
  maker_.let_go();
  EXPECT_TRUE(maker_.wait_for_drops(2));
}

TEST_F(CommitterTest, WhoIsToldOfAFailureHasTheDropOnTheLocalDisk) {
  CommitterOptions options;
  options.first_retry = options.last_retry = 1h;
  mount(options);
  maker_.fail_next(Errc::Unavailable);
  put("file", "content");
  EXPECT_EQ(sync_new(), EIO);
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.sealed"));
}

TEST_F(CommitterTest, WhatIsLeftToTheNextMountIsOnTheLocalDisk) {
  mount();
  maker_.hold();
  put("first", "1");
  life_->committer().commit([](const Status&) {});
  ASSERT_TRUE(maker_.wait_for_tries(1));
  put("second", "2");
  life_->committer().commit([](const Status&) {});
  life_->unmount();
  life_->committer().leave();
  EXPECT_FALSE(life_->committer().finish(true));
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.sealed"));
  EXPECT_TRUE(stdfs::exists(trays() / "00000002.sealed"));
}

TEST_F(CommitterTest, ATryThatIsCutOffBehindTheSnapshotMakesNoSecondOne) {
  CommitterOptions options;
  options.first_retry = 10ms;
  mount(options);
  maker_.fail_after_snapshot(3);
  put("file", "content");
  EXPECT_EQ(sync_new(), EIO);
  ASSERT_TRUE(maker_.wait_for_tries(4));
  EXPECT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().size(), 1U);
}

TEST_F(CommitterTest, WhatASnapshotDoesNotHoldAllOfIsKept) {
  mount();
  maker_.leave_out(1);
  put("file", "content");
  EXPECT_EQ(sync_new(), 0);
  const auto kept = trays() / "00000001.partial/files/file";
  EXPECT_TRUE(soon([&] { return stdfs::exists(kept); }));
  maker_.leave_out(0);
  put("file", "content");
  EXPECT_EQ(sync_new(), 0);
  EXPECT_TRUE(soon([&] {
    return std::ranges::none_of(stdfs::directory_iterator(trays()), [](const auto& tray) {
      return tray.path().filename().string().starts_with("00000002.");
    });
  }));
  life_.reset();
  mount();
  EXPECT_TRUE(stdfs::exists(kept));
  EXPECT_EQ(maker_.tries(), 2U);
}

TEST_F(CommitterTest, WhatASnapshotLacksIsKeptAlsoByTheTryAfterACrash) {
  CommitterOptions options;
  options.first_retry = 10ms;
  mount(options);
  maker_.leave_out(1);
  maker_.fail_after_snapshot(1);
  put("file", "content");
  EXPECT_EQ(sync_new(), EIO);
  maker_.leave_out(0);  // the next try does not look at the files
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays() / "00000001.partial/files/file"); }));
}

TEST_F(CommitterTest, ASyncIsOnlyDoneWithWhatWasCutBefore) {
  CommitterOptions options;
  options.first_retry = options.last_retry = 1h;
  mount(options);
  put("first", "1");
  maker_.fail_next(Errc::Unavailable);
  EXPECT_EQ(sync_new(), EIO);
  put("second", "2");
  maker_.fail_next(Errc::Full);
  EXPECT_EQ(sync_new(), ENOSPC);
  EXPECT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().size(), 2U);
}

TEST_F(CommitterTest, WhatIsBeingWrittenWhenTheMountIsToldToEndIsNotInTheDrop) {
  mount();
  put("whole", "content");
  {
    std::ofstream half(in_new("half"), std::ios::binary);
    half << "the first half" << std::flush;
    life_->unmount();
    EXPECT_TRUE(life_->committer().finish(false));
  }
  ASSERT_EQ(maker_.drops().size(), 1U);
  EXPECT_EQ(maker_.drops()[0].files, (std::map<std::string, std::string>{{"whole", "content"}}));
  life_.reset();
  mount();
  EXPECT_EQ(get("half"), "the first half");
}

TEST_F(CommitterTest, WhoIsInterruptedWhileWaitingGetsEintrAndTheDropGoesOn) {
  mount();
  maker_.hold();
  put("file", "content");
  const std::string folder = (mountpoint_ / "new").string();
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
    const int result = ::fsync(fd);
    ::_exit(result == -1 && errno == EINTR ? 0 : 1);
  }
  ASSERT_TRUE(maker_.wait_for_tries(1));
  ASSERT_EQ(::kill(child, SIGUSR1), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  maker_.let_go();
  EXPECT_TRUE(maker_.wait_for_drops(1));
}

TEST_F(CommitterTest, QuietCommitsAndAnOpenFileHoldsItBack) {
  CommitterOptions options;
  options.after = 100ms;
  mount(options);
  UniqueFd open(::open(in_new("file").c_str(), O_WRONLY | O_CREAT, 0600));
  put("other", "x");
  ASSERT_FALSE(maker_.tries() > 0);
  std::this_thread::sleep_for(500ms);  // longer than the quiet time: nothing may happen
  EXPECT_EQ(maker_.tries(), 0U);
  ASSERT_EQ(::write(open.get(), "end", 3), 3);
  open.reset();
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "end");
}

TEST_F(CommitterTest, WhatIsInNewAtTheEndIsCommittedAndSoIsWhatFailedBefore) {
  mount();
  maker_.fail_next(Errc::Unavailable);
  put("first", "1");
  EXPECT_EQ(sync_new(), EIO);
  put("second", "2");
  life_->unmount();
  EXPECT_TRUE(life_->committer().finish(true));
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("first"), "1");
  EXPECT_EQ(maker_.drops()[1].files.at("second"), "2");
}

TEST_F(CommitterTest, WhatCannotBeCommittedAtTheEndIsResumedByTheNextMount) {
  mount();
  put("file", "content");
  life_->unmount();
  maker_.fail_next(Errc::Unavailable);
  EXPECT_FALSE(life_->committer().finish(true));
  life_.reset();
  mount();
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "content");
}

TEST_F(CommitterTest, AMountThatDiedWhileNewWasFilledShowsItAgain) {
  mount();
  put("file", "content");
  life_.reset();  // without finish()
  mount();
  EXPECT_EQ(get("file"), "content");
}

}  // namespace
}  // namespace restic::fs
