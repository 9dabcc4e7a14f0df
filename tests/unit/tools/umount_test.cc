// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "support/temporary_folder.h"
#include "tools/mount_table.h"
#include "tools/umount_options.h"
#include "tools/unmount.h"

namespace restic::tools {
namespace {

using namespace std::chrono_literals;

TEST(UmountOptions, AreTakenAsUmountPassesThem) {
  const UmountOptions options =
      read_umount_options({"/mnt", "-nlfv", "-r", "-N", "123", "-t", "fuse.restic"});
  EXPECT_EQ(options.mountpoint, "/mnt");
  EXPECT_EQ(options.name_space, "123");
  EXPECT_TRUE(options.lazy);
  EXPECT_TRUE(options.force);
  EXPECT_TRUE(options.verbose);
  EXPECT_FALSE(options.timeout);
}

TEST(UmountOptions, MayComeFirstAndJoined) {
  const UmountOptions options =
      read_umount_options({"-N/proc/1/ns/mnt", "--timeout=90s", "--", "-odd folder"});
  EXPECT_EQ(options.mountpoint, "-odd folder");
  EXPECT_EQ(options.name_space, "/proc/1/ns/mnt");
  EXPECT_EQ(options.timeout, 90s);
}

TEST(UmountOptions, AreRefusedWhenTheyMakeNoSense) {
  EXPECT_THROW(read_umount_options({}), Error);
  EXPECT_THROW(read_umount_options({"/a", "/b"}), Error);
  EXPECT_THROW(read_umount_options({"/a", "-x"}), Error);
  EXPECT_THROW(read_umount_options({"/a", "-N"}), Error);
  EXPECT_THROW(read_umount_options({"/a", "--timeout=soon"}), Error);
  EXPECT_THROW(read_umount_options({"/a", "--tim=1s"}), Error);
}

TEST(MountTable, KnowsOurMountsByTypeAndPlace) {
  const std::string ours =
      "36 35 0:52 / /mnt/my\\040backups rw,nosuid - fuse.restic rclone:b2 rw,user_id=0,group_id=0";
  EXPECT_TRUE(is_our_mount(ours, "/mnt/my backups"));
  EXPECT_FALSE(is_our_mount(ours, "/mnt/my"));
  const std::string shared = "36 35 0:52 / /mnt rw shared:1 master:2 - fuse.restic repo rw";
  EXPECT_TRUE(is_our_mount(shared, "/mnt"));
  const std::string other = "36 35 0:52 / /mnt rw - fuse.sshfs restic:/ rw,x - fuse.restic";
  EXPECT_FALSE(is_our_mount(other, "/mnt"));
  EXPECT_FALSE(is_our_mount("", "/mnt"));
}

TEST(MountTable, SaysSoWhenNothingOfOursIsMounted) { EXPECT_THROW(find_mount("/proc"), Error); }

// A mount of our type that no program answers for, in use.
TEST(Unmount, AMountWhoseProgramDiedIsUnmountedEvenWhileItIsInUse) {
  const test::TemporaryFolder folder;
  const std::string mountpoint = folder.path();
  UniqueFd program(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(program);
  const std::string data = "rootmode=40000,user_id=0,group_id=0,fd=" + std::to_string(program.get());
  ASSERT_EQ(::mount("test", mountpoint.c_str(), "fuse.restic", 0, data.c_str()), 0) << "this test needs root";
  const UniqueFd user(::open(mountpoint.c_str(), O_PATH | O_CLOEXEC));
  program.reset();
  UmountOptions options;
  options.mountpoint = mountpoint;
  try {
    unmount(options);
    ADD_FAILURE() << "nobody knows whether all was durable";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Unavailable) << error.what();
  }
  EXPECT_THROW(find_mount(mountpoint), Error);
  ::umount2(mountpoint.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace restic::tools
