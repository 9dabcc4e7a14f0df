// SPDX-License-Identifier: MIT
#include "transport/timer.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "transport/signal_mask.h"

namespace restic::transport {
namespace {

using SteadyClock = std::chrono::steady_clock;

class ThreadTimer : public Timer {
 public:
  ThreadTimer() : thread_([this] { loop(); }) {}
  ~ThreadTimer() override { cancel_all(); }

  std::chrono::milliseconds now() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now().time_since_epoch());
  }

  void after(std::chrono::milliseconds delay, Action action) override {
    {
      std::lock_guard lock(mutex_);
      if (!stopping_) {
        due_.emplace(SteadyClock::now() + delay, std::move(action));
        action = nullptr;
      }
    }
    if (action) return action(true);
    changed_.notify_all();
  }

  void cancel_all() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    block_signals_on_this_thread();
    std::unique_lock lock(mutex_);
    for (;;) {
      if (due_.empty()) {
        if (stopping_) return;
        changed_.wait(lock);
        continue;
      }
      const SteadyClock::time_point first = due_.begin()->first;
      if (!stopping_ && SteadyClock::now() < first) {
        changed_.wait_until(lock, first);
        continue;
      }
      const Action action = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      const bool cancelled = stopping_;
      lock.unlock();
      action(cancelled);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<SteadyClock::time_point, Action> due_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Timer> make_timer() { return std::make_unique<ThreadTimer>(); }

}  // namespace restic::transport
