// SPDX-License-Identifier: MIT
#include "transport/worker_pool.h"

#include <utility>

#include "transport/signal_mask.h"

namespace restic::transport {

WorkerPool::WorkerPool(unsigned threads) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::add(Urgency urgency, Job job) {
  {
    std::lock_guard lock(mutex_);
    queue_.push(urgency, std::move(job));
  }
  changed_.notify_one();
}

void WorkerPool::loop() {
  block_signals_on_this_thread();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Job job = queue_.pop();
    const bool cancelled = stopping_;
    lock.unlock();
    job(cancelled);
    lock.lock();
  }
}

}  // namespace restic::transport
