// SPDX-License-Identifier: MIT
#include "support/delayed_calls.h"

#include <utility>

namespace restic::test {

DelayedCalls::DelayedCalls() : thread_([this] { loop(); }) {}

DelayedCalls::~DelayedCalls() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void DelayedCalls::after(std::chrono::milliseconds delay, Action action) {
  {
    std::lock_guard lock(mutex_);
    due_.emplace(Clock::now() + delay, std::move(action));
  }
  changed_.notify_all();
}

void DelayedCalls::park(Action action, std::size_t since) {
  {
    std::lock_guard lock(mutex_);
    if (since == releases_) {
      parked_.push_back(std::move(action));
    } else {
      due_.emplace(Clock::now(), std::move(action));
    }
  }
  changed_.notify_all();
}

void DelayedCalls::release() {
  {
    std::lock_guard lock(mutex_);
    for (Action& action : parked_) due_.emplace(Clock::now(), std::move(action));
    parked_.clear();
    ++releases_;
  }
  changed_.notify_all();
}

std::size_t DelayedCalls::releases() const {
  std::lock_guard lock(mutex_);
  return releases_;
}

void DelayedCalls::wait_for_parked(std::size_t count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return parked_.size() >= count; });
}

void DelayedCalls::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) {
      for (Action& action : parked_) due_.emplace(Clock::now(), std::move(action));
      parked_.clear();
    }
    if (due_.empty()) {
      if (stopping_) return;
      changed_.wait(lock);
      continue;
    }
    const auto first = due_.begin();
    const bool is_due = first->first <= Clock::now();
    if (!is_due && !stopping_) {
      const Clock::time_point when = first->first;
      changed_.wait_until(lock, when);
      continue;
    }
    const Action action = std::move(first->second);
    due_.erase(first);
    const bool cancelled = stopping_;
    lock.unlock();
    action(cancelled);
    lock.lock();
  }
}

}  // namespace restic::test
