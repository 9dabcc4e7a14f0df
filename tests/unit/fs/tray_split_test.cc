// SPDX-License-Identifier: MIT
#include "fs/tray_split.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "fs/state_files.h"
#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;

class TraySplitTest : public testing::Test {
 protected:
  TraySplitTest() {
    stdfs::create_directory(from_);
    stdfs::create_directory(to_);
  }
  static FileKey key_of(int folder, const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW), 0) << name;
    return {status.st_dev, status.st_ino};
  }
  FileKey put(const std::string& path) const {
    stdfs::create_directories((from_ / path).parent_path());
    std::ofstream(from_ / path) << path;
    return key_of(AT_FDCWD, from_ / path);
  }
  void move(const std::unordered_set<FileKey, FileKeyHash>& keys) const {
    move_files(open_folder(AT_FDCWD, from_).get(), open_folder(AT_FDCWD, to_).get(), keys);
  }

  test::TemporaryFolder folder_;
  const stdfs::path from_ = folder_.path() / "from";
  const stdfs::path to_ = folder_.path() / "to";
};

TEST_F(TraySplitTest, FilesMoveWithAllTheirNamesAndTheFoldersAboveThem) {
  const FileKey wanted = put("a/b/file");
  put("a/b/other");
  put("a/other");
  stdfs::create_directories(from_ / "c");
  stdfs::create_hard_link(from_ / "a/b/file", from_ / "c/second name");
  ASSERT_EQ(::chmod((from_ / "a").c_str(), 0510), 0);
  const stdfs::file_time_type long_ago(std::chrono::hours(-300000));
  for (const char* name : {"a/b", "a", "c"}) stdfs::last_write_time(from_ / name, long_ago);
  move({wanted});
  EXPECT_TRUE(stdfs::exists(to_ / "a/b/file"));
  EXPECT_TRUE(stdfs::exists(to_ / "c/second name"));
  EXPECT_FALSE(stdfs::exists(from_ / "a/b/file"));
  EXPECT_FALSE(stdfs::exists(from_ / "c/second name"));
  EXPECT_TRUE(stdfs::exists(from_ / "a/b/other"));
  EXPECT_FALSE(stdfs::exists(to_ / "a/other"));
  EXPECT_EQ(stdfs::status(to_ / "a").permissions(), stdfs::perms(0510));
  for (const char* name : {"a/b", "a", "c"}) {
    EXPECT_EQ(stdfs::last_write_time(from_ / name), long_ago) << name;
    EXPECT_EQ(stdfs::last_write_time(to_ / name), long_ago) << name;
  }
}

TEST_F(TraySplitTest, FoldersMayBeNestedDeeperThanThereAreDescriptors) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{128, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  UniqueFd level = open_folder(AT_FDCWD, from_);
  for (int i = 0; i < 200; ++i) {
    make_folder(level.get(), "d", 0700);
    level = open_folder(level.get(), "d");
  }
  ASSERT_TRUE(UniqueFd(::openat(level.get(), "file", O_WRONLY | O_CREAT, 0600)));
  move({key_of(level.get(), "file")});
  EXPECT_NE(::faccessat(level.get(), "file", F_OK, 0), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(TraySplitTest, WhatAMoveThatFailedHadTakenOverCanBePutBack) {
  const FileKey first = put("a/first");
  const FileKey second = put("b/second");
  std::ofstream(to_ / "b") << "no folder can take this place";
  EXPECT_THROW(move({first, second}), Error);
  EXPECT_TRUE(stdfs::exists(to_ / "a/first"));
  stdfs::remove(to_ / "b");
  move_back(open_folder(AT_FDCWD, to_).get(), open_folder(AT_FDCWD, from_).get());
  EXPECT_TRUE(stdfs::is_regular_file(from_ / "a/first"));
  EXPECT_TRUE(stdfs::is_regular_file(from_ / "b/second"));
}

TEST_F(TraySplitTest, AFileThatComesReplacesNoneThatHasItsName) {
  const FileKey wanted = put("a/file");
  stdfs::create_directories(to_ / "a");
  std::ofstream(to_ / "a/file") << "was here";
  std::ofstream(to_ / "a/file.1") << "was here, too";
  move({wanted});
  EXPECT_FALSE(stdfs::exists(from_ / "a/file"));
  EXPECT_EQ(stdfs::file_size(to_ / "a/file"), 8U);
  EXPECT_EQ(stdfs::file_size(to_ / "a/file.1"), 13U);
  EXPECT_EQ(key_of(AT_FDCWD, to_ / "a/file.2"), wanted);
}

}  // namespace
}  // namespace restic::fs
