// SPDX-License-Identifier: MIT
#include "fs/fuse_errno.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace restic::fs {
namespace {

TEST(FuseErrno, NeverCallsAFailureAnAbsence) {
  for (const auto code :
       {Errc::NotFound, Errc::Denied, Errc::Timeout, Errc::Unavailable, Errc::Damaged, Errc::Full,
        Errc::Unsupported, Errc::Usage, Errc::WrongPassword, Errc::Locked, Errc::Cancelled, Errc::Io}) {
    EXPECT_NE(errno_of(code), ENOENT);
    EXPECT_GT(errno_of(code), 0);
  }
}

TEST(FuseErrno, TellsTheReasonsApartThatProgramsActOn) {
  EXPECT_EQ(errno_of(Errc::Timeout), ETIMEDOUT);
  EXPECT_EQ(errno_of(Errc::Unavailable), EIO);
  EXPECT_EQ(errno_of(Errc::Damaged), EIO);
  EXPECT_EQ(errno_of(Errc::Full), ENOSPC);
  EXPECT_EQ(errno_of(Errc::Cancelled), EINTR);
}

}  // namespace
}  // namespace restic::fs
