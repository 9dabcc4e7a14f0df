// SPDX-License-Identifier: MIT
#include "repo/folder_walk.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using testing::ElementsAre;

class Recorder final : public FolderVisitor {
 public:
  bool enter_folder(int, const std::string& name, const std::string& path) override {
    if (name == "not this one") return false;
    seen.push_back(path + "/");
    return true;
  }
  void leave_folder() override { seen.push_back(".."); }
  void visit(int folder_fd, const std::string& name, const struct stat& facts,
             const std::string& path) override {
    struct stat again {};
    EXPECT_EQ(::fstatat(folder_fd, name.c_str(), &again, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(again.st_ino, facts.st_ino);
    seen.push_back(path);
  }
  void unreadable(const std::string& path, int) override { seen.push_back("?" + path); }

  std::vector<std::string> seen;
};

class FolderWalkTest : public testing::Test {
 protected:
  void file(const std::string& path) { std::ofstream(folder_.path() / path) << path; }
  void folder(const std::string& path) { std::filesystem::create_directories(folder_.path() / path); }
  std::vector<std::string> walk() {
    const UniqueFd fd(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Recorder recorder;
    walk_folder(fd.get(), recorder);
    return recorder.seen;
  }

  test::TemporaryFolder folder_;
};

TEST_F(FolderWalkTest, GoesDepthFirstInTheOrderOfNameBytes) {
  folder("a/b");
  file("a/b/c");
  file("a.txt");
  file("a/\xff");
  file("a/Z");
  EXPECT_THAT(walk(), ElementsAre("a/", "a/Z", "a/b/", "a/b/c", "..", "a/\xff", "..", "a.txt"));
}

TEST_F(FolderWalkTest, DoesNotFollowLinks) {
  folder("inside");
  std::filesystem::create_directory_symlink("/etc", folder_.path() / "link");
  EXPECT_THAT(walk(), ElementsAre("inside/", "..", "link"));
}

TEST_F(FolderWalkTest, PassesByAFolderThatTheVisitorDoesNotEnter) {
  folder("a/not this one/inner");
  file("a/z");
  EXPECT_THAT(walk(), ElementsAre("a/", "a/z", ".."));
}

TEST_F(FolderWalkTest, GoesDeeperThanThereAreDescriptorsAndThanPathsReach) {
  constexpr int kDepth = 400;
  UniqueFd at(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < kDepth; ++level) {
    ASSERT_EQ(::mkdirat(at.get(), "deep inside", 0700), 0);
    UniqueFd next(::openat(at.get(), "deep inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(next);
    at = std::move(next);
  }
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{128, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::vector<std::string> seen = walk();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(seen.size(), 2U * kDepth);
  EXPECT_EQ(seen[kDepth - 1].size(), kDepth * std::string("deep inside/").size());
}

// Moves a folder that the walk is deep inside of.
class Mover final : public FolderVisitor {
 public:
  Mover(std::filesystem::path from, std::filesystem::path to) : from_(std::move(from)), to_(std::move(to)) {}
  bool enter_folder(int, const std::string& name, const std::string&) override {
    if (name == "bottom") std::filesystem::rename(from_, to_);
    return true;
  }
  void leave_folder() override {}
  void visit(int, const std::string&, const struct stat&, const std::string&) override {}
  void unreadable(const std::string&, int) override {}

 private:
  const std::filesystem::path from_, to_;
};

TEST_F(FolderWalkTest, NoticesThatAFolderWasMovedAwayUnderIt) {
  std::string path;
  for (int level = 0; level < 60; ++level) path += "d/";
  folder(path + "bottom");
  const UniqueFd fd(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Mover mover(folder_.path() / "d/d/d/d/d", folder_.path() / "elsewhere");
  EXPECT_THROW(walk_folder(fd.get(), mover), Error);
}

}  // namespace
}  // namespace restic::repo
