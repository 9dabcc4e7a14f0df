// SPDX-License-Identifier: MIT
#include "fs/disk_reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace restic::fs {
namespace {

constexpr const char* kReserveName = "reserve";

std::string spare_name(int number) { return std::string(kReserveName) + "." + std::to_string(number); }

UniqueFd make_file(int folder, const std::string& name) {
  return UniqueFd(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

}  // namespace

DiskReserve::DiskReserve(int folder) : folder_(folder) { restore(); }

void DiskReserve::restore() {
  const std::lock_guard lock(mutex_);
  if (held_) return;
  const UniqueFd file = make_file(folder_, kReserveName);
  held_ = file && ::posix_fallocate(file.get(), 0, kBytes) == 0;
  for (int number = 0; held_ && number < kInodes; ++number) {
    held_ = static_cast<bool>(make_file(folder_, spare_name(number)));
  }
  if (!held_) unlink_all();
}

bool DiskReserve::give_up() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(held_, false)) return false;
  unlink_all();
  return true;
}

void DiskReserve::unlink_all() {
  ::unlinkat(folder_, kReserveName, 0);
  for (int number = 0; number < kInodes; ++number) ::unlinkat(folder_, spare_name(number).c_str(), 0);
}

}  // namespace restic::fs
