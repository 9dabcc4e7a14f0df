// SPDX-License-Identifier: MIT
// What becomes of `new/` when it is committed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "fs/staging.h"
#include "fs/state_files.h"
#include "support/staged_mount.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class StagingSealTest : public test::StagedMount {};

TEST_F(StagingSealTest, SyncOfNewReturnsWhenTheDropIsASnapshotAndNewIsEmpty) {
  mount();
  put("file", "content");
  stdfs::create_directories(in_new("folder/below"));
  put("folder/below/deep", "down here");
  stdfs::create_symlink("file", in_new("link"));
  ASSERT_EQ(sync_new(), 0);
  ASSERT_EQ(maker_.drops().size(), 1U);
  const std::map<std::string, std::string> expected = {{"file", "content"},
                                                       {"folder", "/"},
                                                       {"folder/below", "/"},
                                                       {"folder/below/deep", "down here"},
                                                       {"link", "-> file"}};
  EXPECT_EQ(maker_.drops()[0].files, expected);
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_FALSE(stdfs::exists(in_new("file")));
}

TEST_F(StagingSealTest, SyncOfAnEmptyNewMakesNoSnapshot) {
  mount();
  EXPECT_EQ(sync_new(), 0);
  EXPECT_THAT(maker_.drops(), IsEmpty());
}

TEST_F(StagingSealTest, ASocketAloneMakesNoSnapshotAndHoldsNothingBack) {
  mount();
  ASSERT_EQ(::mknod(in_new("socket").c_str(), S_IFSOCK | 0600, 0), 0);
  EXPECT_EQ(sync_new(), 0);
  const UniqueFd open(::open(in_new("growing").c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_EQ(sync_new(), 0);
  ASSERT_EQ(::unlink(in_new("growing").c_str()), 0);
  life_->unmount();
  EXPECT_TRUE(life_->committer().finish(true));
  EXPECT_EQ(maker_.tries(), 0U);
}

TEST_F(StagingSealTest, NewIsEmptyAtOnceWhileTheDropIsStillOnItsWay) {
  mount();
  maker_.hold();
  put("first", "1");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  life_->staging().wait_until_shown();
  EXPECT_THAT(names(), IsEmpty());
  put("second", "2");
  put("first", "another first");
  EXPECT_THAT(names(), ElementsAre("first", "second"));
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
  EXPECT_EQ(sync_new(), 0);
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("first"), "1");
  EXPECT_EQ(maker_.drops()[1].files.at("first"), "another first");
}

TEST_F(StagingSealTest, SyncOfAnEmptyNewWaitsForTheEarlierDropAndShutsNobodyOut) {
  mount();
  maker_.hold();
  put("first", "1");
  auto first = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  life_->staging().wait_until_shown();
  const NodeId held = life_->staging().root().node;
  auto second = std::async(std::launch::async, [this] { return sync_new(); });
  EXPECT_TRUE(soon([&] { return life_->staging().root().node != held; }));
  std::this_thread::sleep_for(100ms);  // the kernel is told right behind that
  life_->staging().wait_until_shown();
  auto third = std::async(std::launch::async, [this] { put("second", "2"); });
  EXPECT_EQ(third.wait_for(60s), std::future_status::ready);
  EXPECT_EQ(second.wait_for(0s), std::future_status::timeout);
  maker_.let_go();
  EXPECT_EQ(first.get(), 0);
  EXPECT_EQ(second.get(), 0);
  EXPECT_EQ(get("second"), "2");
}

TEST_F(StagingSealTest, OfManyWhoCommitAtOnceNobodyIsAnsweredBeforeTheDropIsASnapshot) {
  mount();
  constexpr int kCommitters = 4;
  for (std::size_t round = 1; round <= 50; ++round) {
    put("file", std::to_string(round));
    std::vector<std::future<std::size_t>> committers;
    for (int i = 0; i < kCommitters; ++i) {
      committers.push_back(std::async(std::launch::async, [this] {
        const auto durable = std::make_shared<std::promise<std::size_t>>();
        life_->committer().commit([=, this](const Status&) { durable->set_value(maker_.drops().size()); });
        auto answer = durable->get_future();
        return answer.wait_for(60s) == std::future_status::ready ? answer.get() : 0;
      }));
    }
    for (auto& committer : committers) ASSERT_EQ(committer.get(), round);
  }
}

TEST_F(StagingSealTest, AFileOpenForWritingGoesIntoTheNextDropWithItsFolders) {
  mount();
  stdfs::create_directories(in_new("folder"));
  ASSERT_EQ(::chmod(in_new("folder").c_str(), 0750), 0);
  put("folder/done", "done");
  const UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "one ", 4), 4);
  ASSERT_EQ(::link(in_new("folder/growing").c_str(), in_new("second name").c_str()), 0);
  ASSERT_EQ(sync_new(), 0);
  const std::map<std::string, std::string> first = {{"folder", "/"}, {"folder/done", "done"}};
  EXPECT_EQ(maker_.drops().at(0).files, first);
  EXPECT_THAT(names(), ElementsAre("folder", "second name"));
  struct stat status {};
  ASSERT_EQ(::stat(in_new("folder").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0750U);
  ASSERT_EQ(::write(open.get(), "two", 3), 3);
  EXPECT_EQ(get("folder/growing"), "one two");
  EXPECT_EQ(get("second name"), "one two");
}

TEST_F(StagingSealTest, ACommitThatFailsLeavesEverythingInNewAndOpenFilesToTheirWriters) {
  mount();
  stdfs::create_directories(in_new("folder"));
  put("folder/done", "done");
  UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "one ", 4), 4);
  const stdfs::path in_the_way = trays() / ("00000001.sealed." + boot_id());
  stdfs::create_directories(in_the_way / "something");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(sync_new(), EIO);
    EXPECT_THAT(names("folder"), ElementsAre("done", "growing"));
  }
  ASSERT_EQ(::write(open.get(), "two ", 4), 4);
  const UniqueFd second(::open(in_new("folder/growing").c_str(), O_WRONLY | O_APPEND));
  ASSERT_EQ(::write(second.get(), "three", 5), 5) << "found by its name";
  open.reset();
  stdfs::remove_all(in_the_way);
  ASSERT_EQ(sync_new(), 0);
  const std::map<std::string, std::string> drop = {{"folder", "/"}, {"folder/done", "done"}};
  EXPECT_EQ(maker_.drops().at(0).files, drop);
  EXPECT_EQ(get("folder/growing"), "one two three");
}

TEST_F(StagingSealTest, AnEmptyTrayThatCannotBeRemovedFailsNoCommit) {
  mount();
  UniqueFd open(::open(in_new("growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "text", 4), 4);
  stdfs::create_directories(trays() / "00000001.done" / "in the way");
  EXPECT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.tries(), 0U);
  open.reset();
  EXPECT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().at(0).files.at("growing"), "text");
}

// A file system of 3 MiB at a path.
class SmallDisk {
 public:
  explicit SmallDisk(stdfs::path path) : path_(std::move(path)) {
    stdfs::create_directory(path_);
    EXPECT_EQ(::mount("small", path_.c_str(), "tmpfs", 0, "size=3m"), 0) << "this test needs root";
  }
  ~SmallDisk() { ::umount2(path_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  const stdfs::path path_;
};

TEST_F(StagingSealTest, WhatFilledTheDiskCanBeCommittedAlsoWithAFileOpenInAFolder) {
  const SmallDisk disk(folder_.path() / "state");
  mount();
  stdfs::create_directories(in_new("folder"));
  const UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "open", 4), 4);
  {
    const UniqueFd large(::open(in_new("large").c_str(), O_WRONLY | O_CREAT, 0600));
    const std::string page(4096, 'x');
    while (::write(large.get(), page.data(), page.size()) > 0) {
    }
    ASSERT_EQ(errno, ENOSPC);
  }
  ASSERT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().at(0).files.count("large"), 1U);
  EXPECT_EQ(get("folder/growing"), "open");
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays().parent_path() / "reserve"); })) << "made again";
  life_.reset();
}

TEST_F(StagingSealTest, AnUnlinkedFileStaysUsableAcrossACommit) {
  mount();
  put("other", "x");
  const UniqueFd open(::open(in_new("gone").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::unlink(in_new("gone").c_str()), 0);
  ASSERT_EQ(sync_new(), 0);
  ASSERT_EQ(::pwrite(open.get(), "alive", 5, 0), 5);
  char text[6] = {};
  ASSERT_EQ(::pread(open.get(), text, 5, 0), 5);
  EXPECT_STREQ(text, "alive");
}

}  // namespace
}  // namespace restic::fs
