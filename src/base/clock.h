// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>

namespace restic {

// Where time comes from, so that tests can hold it. Thread-safe.
class Clock {
 public:
  // Never jumps, and goes on while the machine sleeps (a lock ages then, too).
  using Instant = std::chrono::nanoseconds;

  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  // Nanoseconds since 1970, as people see it.
  virtual std::chrono::nanoseconds wall() const = 0;
  virtual void sleep(std::chrono::milliseconds duration) const = 0;
};

// The machine's own clock.
class SystemClock final : public Clock {
 public:
  Instant now() const override;
  std::chrono::nanoseconds wall() const override;
  void sleep(std::chrono::milliseconds duration) const override;
};

}  // namespace restic
