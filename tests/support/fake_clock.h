// SPDX-License-Identifier: MIT
#pragma once

#include <mutex>
#include <vector>

#include "base/clock.h"

namespace restic::test {

// A clock that stands still until it is moved; who sleeps on it moves it. Thread-safe.
class FakeClock final : public Clock {
 public:
  Instant now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  std::chrono::nanoseconds wall() const override { return now() + kStart; }
  void sleep(std::chrono::milliseconds duration) const override {
    const std::lock_guard lock(mutex_);
    now_ += duration;
    sleeps_.push_back(duration);
  }

  void advance(std::chrono::nanoseconds duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
  }
  std::vector<std::chrono::milliseconds> sleeps() const {
    const std::lock_guard lock(mutex_);
    return sleeps_;
  }

 private:
  static constexpr std::chrono::seconds kStart{1'700'000'000};

  mutable std::mutex mutex_;
  mutable Instant now_{};
  mutable std::vector<std::chrono::milliseconds> sleeps_;
};

}  // namespace restic::test
