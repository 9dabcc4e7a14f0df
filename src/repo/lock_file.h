// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "repo/timestamp.h"

namespace restic::repo {

// Whose lock it is, as restic shows it to people. The pid is always the real one of this process.
struct LockOwner {
  std::string hostname, username;
  std::uint32_t uid = 0, gid = 0;
};

// One lock file (FORMAT: locks).
struct LockInfo {
  ZonedTime time;
  bool exclusive = false;
  LockOwner owner;
  std::uint64_t pid = 0;
};

// Throws Error{Damaged} that begins with `what`.
LockInfo decode_lock(ByteView json, const std::string& what);
std::string encode_lock(const LockInfo& lock);

}  // namespace restic::repo
