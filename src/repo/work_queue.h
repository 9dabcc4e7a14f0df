// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace restic::repo {

// A few threads for work that waits for the disk or for room in memory. Thread-safe. Jobs must not throw.
class WorkQueue {
 public:
  using Job = std::function<void()>;

  explicit WorkQueue(unsigned threads);
  // Drops what has not started and waits for what has.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void submit(Job job);
  // Done when nothing of the other kind waits. Dropped, with false, when `limit` of them wait already.
  bool submit_later(Job job, std::size_t limit);

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> now_, later_;  // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace restic::repo
