// SPDX-License-Identifier: MIT
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace restic::fs {

// How another program, such as umount.restic, speaks with a mount: ioctls on its folder `new`, for whoever
// may open that folder. Plain old data, the same on both sides.

// All drops together.
struct CommitProgress {
  std::int32_t pid = 0;      // of the mount's process
  std::uint32_t drops = 0;   // not durable in the repository yet
  std::uint32_t failed = 0;  // of these, whose last try failed
  std::uint32_t staged = 0;  // 1: something is in `new/` that no commit was asked for yet
  std::uint64_t files_done = 0, files_total = 0;
  std::uint64_t bytes_done = 0, bytes_total = 0;  // of the drops' content
  std::uint64_t bytes_uploaded = 0;
  char error[192] = {};  // why the last try failed, ends in NUL
};

// Commits what is in `new/` and tries again what failed; returns at once.
inline constexpr unsigned kControlCommit = _IO('R', 0x71);
inline constexpr unsigned kControlProgress = _IOR('R', 0x72, CommitProgress);
// Leaves what is not durable to the next mount, so that the process ends soon after the unmount.
inline constexpr unsigned kControlLeave = _IO('R', 0x73);

}  // namespace restic::fs
