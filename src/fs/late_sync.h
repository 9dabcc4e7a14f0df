// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "fs/tray.h"

namespace restic::fs {

// Lives while a drop is being archived. When that takes longer than `patience`, the drop's files are written
// to the local disk, once, so that a power cut does not cost them; a drop that is durable in the repository
// sooner never waits for the disk. A failure is logged only. One thread of its own, at most.
class LateSync {
 public:
  LateSync(Tray& tray, std::chrono::milliseconds patience, Log& log);
  // Blocks on the local disk when the sync is under way.
  ~LateSync();
  LateSync(const LateSync&) = delete;
  LateSync& operator=(const LateSync&) = delete;

 private:
  void run();

  Tray& tray_;
  const std::chrono::milliseconds patience_;
  Log& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace restic::fs
