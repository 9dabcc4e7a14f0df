// SPDX-License-Identifier: MIT
#include "fs/late_sync.h"

#include <utility>

namespace restic::fs {

LateSync::LateSync(Step step) : step_(std::move(step)), thread_([this] { run(); }) {}

LateSync::~LateSync() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void LateSync::run() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    lock.unlock();
    const std::chrono::milliseconds pause = step_();
    lock.lock();
    changed_.wait_for(lock, pause, [this] { return over_; });
  }
}

}  // namespace restic::fs
