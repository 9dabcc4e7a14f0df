// SPDX-License-Identifier: MIT
#include "fs/late_sync.h"

#include <string>

#include "base/error.h"

namespace restic::fs {

LateSync::LateSync(Tray& tray, std::chrono::milliseconds patience, Log& log)
    : tray_(tray), patience_(patience), log_(log) {
  if (!tray_.on_disk()) thread_ = std::thread([this] { run(); });
}

LateSync::~LateSync() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void LateSync::run() {
  {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, patience_, [this] { return over_; })) return;
  }
  try {
    tray_.sync_files();
  } catch (const Error& error) {
    log_.warning(std::string("a drop that is being uploaded is not safe from a power cut: ") + error.what());
  }
}

}  // namespace restic::fs
