// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace restic::fs {

// Lives while a drop is being archived, which may take long, and has what takes long written to the local
// disk meanwhile, so that a power cut does not cost it. One thread of its own.
class LateSync {
 public:
  // Writes at most one drop and says after how long it wants to be called again. Called by the thread, at
  // once for the first time; it throws nothing.
  using Step = std::function<std::chrono::milliseconds()>;

  explicit LateSync(Step step);
  // Blocks until the step under way has returned; there is none afterwards.
  ~LateSync();
  LateSync(const LateSync&) = delete;
  LateSync& operator=(const LateSync&) = delete;

 private:
  void run();

  const Step step_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace restic::fs
