// SPDX-License-Identifier: MIT
#include "tools/mountpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace restic::tools {
namespace {

namespace files = std::filesystem;
using ::testing::HasSubstr;

class Mountpoint : public ::testing::Test {
 protected:
  Mountpoint() {
    std::string name = (files::temp_directory_path() / "mountpoint-test.XXXXXX").string();
    folder_ = files::canonical(::mkdtemp(name.data()));
    files::create_directories(folder_ / "a/b");
  }
  ~Mountpoint() override { files::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  // What is said against these two, or "".
  std::string overlap(const std::string& mountpoint, const std::string& folder) const {
    try {
      refuse_overlap(at(mountpoint), "the repository", at(folder));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  files::path folder_;
};

std::string refusal(const std::string& path) {
  try {
    resolve_mountpoint(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(Mountpoint, IsResolvedThroughLinks) {
  files::create_directory_symlink(at("a"), at("link"));
  EXPECT_EQ(resolve_mountpoint(at("link/b/../b/")), at("a/b"));
}

TEST_F(Mountpoint, MustExistAndBeAFolder) {
  std::ofstream(at("file")) << "x";
  EXPECT_THAT(refusal(at("missing")), HasSubstr("does not exist; make it with mkdir -p"));
  EXPECT_THAT(refusal(at("file")), HasSubstr("is not a folder"));
  EXPECT_THAT(refusal(at("file/below")), HasSubstr("is not a folder"));
}

TEST_F(Mountpoint, OthersAreLetInWhereALineOfItsOwnSaysSo) {
  const auto lets_in = [&](const char* configuration) {
    std::ofstream(at("fuse.conf")) << configuration;
    return others_may_be_let_in(at("fuse.conf"));
  };
  EXPECT_TRUE(lets_in("# comment\n\n  user_allow_other # yes\nmount_max = 3"));
  EXPECT_TRUE(lets_in("user_allow_other"));
  EXPECT_FALSE(lets_in("#user_allow_other\nuser_allow_others\nno user_allow_other\n"));
  EXPECT_FALSE(lets_in(""));
  EXPECT_FALSE(others_may_be_let_in(at("missing")));
}

TEST_F(Mountpoint, MayNotOverlapTheRepository) {
  EXPECT_THAT(overlap("a", "a"), HasSubstr(" is the repository "));
  EXPECT_THAT(overlap("a/b", "a"), HasSubstr(" lies inside the repository "));
  EXPECT_THAT(overlap("a", "a/b"), HasSubstr(" contains the repository "));
  EXPECT_THAT(overlap("a", "a/b/missing/deep/"), HasSubstr(" contains the repository "));
}

TEST_F(Mountpoint, OverlapsThroughLinksToo) {
  files::create_directory_symlink(at("a"), at("link"));
  EXPECT_THAT(overlap("a", "link/b"), HasSubstr(" contains the repository "));
}

TEST_F(Mountpoint, MayStandBesideTheRepository) {
  files::create_directories(at("ab"));
  EXPECT_EQ(overlap("a", "ab"), "");
  EXPECT_EQ(overlap("ab", "a"), "");
  EXPECT_NO_THROW(refuse_overlap(at("a"), "the cache", ""));
}

}  // namespace
}  // namespace restic::tools
