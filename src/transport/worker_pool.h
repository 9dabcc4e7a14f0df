// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "transport/urgent_queue.h"

namespace restic::transport {

// A fixed number of threads that do blocking work. Thread-safe; jobs may add jobs and must not throw.
class WorkerPool {
 public:
  // Run exactly once. `cancelled` tells that the pool is going away: then the job only reports so.
  using Job = std::function<void(bool cancelled)>;

  explicit WorkerPool(unsigned threads);
  // Waits for the running jobs; those still queued run with `cancelled`.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void add(Urgency urgency, Job job);
  unsigned size() const noexcept { return static_cast<unsigned>(threads_.size()); }

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  UrgentQueue<Job> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace restic::transport
