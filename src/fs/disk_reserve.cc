// SPDX-License-Identifier: MIT
#include "fs/disk_reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "base/unique_fd.h"

namespace restic::fs {
namespace {

constexpr const char* kReserveName = "reserve";

}  // namespace

DiskReserve::DiskReserve(int folder) : folder_(folder) { restore(); }

void DiskReserve::restore() {
  const std::lock_guard lock(mutex_);
  if (held_) return;
  const UniqueFd file(::openat(folder_, kReserveName, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  held_ = file && ::posix_fallocate(file.get(), 0, kBytes) == 0;
  if (!held_) ::unlinkat(folder_, kReserveName, 0);
}

bool DiskReserve::give_up() {
  const std::lock_guard lock(mutex_);
  return std::exchange(held_, false) && ::unlinkat(folder_, kReserveName, 0) == 0;
}

}  // namespace restic::fs
