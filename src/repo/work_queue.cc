// SPDX-License-Identifier: MIT
#include "repo/work_queue.h"

#include <utility>

namespace restic::repo {

WorkQueue::WorkQueue(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

WorkQueue::~WorkQueue() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void WorkQueue::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    now_.push_back(std::move(job));
  }
  changed_.notify_one();
}

bool WorkQueue::submit_later(Job job, std::size_t limit) {
  {
    const std::lock_guard lock(mutex_);
    if (later_.size() >= limit) return false;
    later_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void WorkQueue::run(const std::stop_token& stop) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !now_.empty() || !later_.empty(); })) return;
      if (stop.stop_requested()) return;
      std::deque<Job>& queue = now_.empty() ? later_ : now_;
      job = std::move(queue.front());
      queue.pop_front();
    }
    job();
  }
}

}  // namespace restic::repo
