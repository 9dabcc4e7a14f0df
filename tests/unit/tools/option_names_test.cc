// SPDX-License-Identifier: MIT
#include "tools/option_names.h"

#include <gtest/gtest.h>

namespace restic::tools {
namespace {

TEST(GenericOption, IsWhatMountHandsToEveryHelper) {
  for (const char* name : {"auto", "noauto", "nofail", "_netdev", "user", "users", "owner", "group",
                           "relatime", "comment", "x-systemd.automount", "X-mount.mkdir", "defaults"}) {
    EXPECT_EQ(classify_generic(name), Generic::Accepted) << name;
  }
  for (const char* name : {"exec", "noexec", "dev", "nodev", "suid", "nosuid", "noatime"}) {
    EXPECT_EQ(classify_generic(name), Generic::Kernel) << name;
  }
  EXPECT_EQ(classify_generic("remount"), Generic::Impossible);
  EXPECT_EQ(classify_generic("frobnicate"), Generic::Unknown);
}

TEST(NearestName, FindsTheSlipOfTheFingers) {
  EXPECT_EQ(nearest_name("pasword-file", {"password-file", "password-command", "path"}), "password-file");
  EXPECT_EQ(nearest_name("allow-other", {"allow_other", "allow_root"}), "allow_other");
}

TEST(NearestName, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("frobnicate", {"password-file", "ro"}), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'x'), {"ro"}), "");
}

}  // namespace
}  // namespace restic::tools
