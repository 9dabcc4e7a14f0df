// SPDX-License-Identifier: MIT
#include "fs/disk_reserve.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fs/state_files.h"
#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

class DiskReserveTest : public testing::Test {
 protected:
  bool is_there() const { return std::filesystem::exists(folder_.path() / "reserve"); }

  test::TemporaryFolder folder_;
  const UniqueFd fd_ = open_folder(AT_FDCWD, folder_.path());
  DiskReserve reserve_{fd_.get()};
};

TEST_F(DiskReserveTest, GivesWayToAStepThatFindsTheDiskFull) {
  EXPECT_EQ(std::filesystem::file_size(folder_.path() / "reserve"), DiskReserve::kBytes);
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "reserve.15"));
  int count = 0;
  const int tries = reserve_.run([this, &count] {
    if (++count == 1) throw Error(Errc::Full, "the disk is full");
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "its inodes, too";
    return count;
  });
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(reserve_.run([this] { return is_there(); }), true) << "the next step finds it again";
}

TEST_F(DiskReserveTest, HelpsOnceAndNotAgainstAnythingElse) {
  int tries = 0;
  const auto fail_with = [&](Errc code) {
    return [&tries, code] {
      ++tries;
      throw Error(code, "it failed");
    };
  };
  EXPECT_THROW(reserve_.run(fail_with(Errc::Io)), Error);
  EXPECT_EQ(tries, 1);
  EXPECT_TRUE(is_there());
  EXPECT_THROW(reserve_.run(fail_with(Errc::Full)), Error);
  EXPECT_EQ(tries, 3);
}

}  // namespace
}  // namespace restic::fs
