// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace restic::transport {

// Does things later. Thread-safe. Actions run one at a time on a thread of the timer's own; they must not
// block or throw and may add actions. Tests put a timer in its place whose time they move by hand.
class Timer {
 public:
  using Action = std::function<void(bool cancelled)>;

  virtual ~Timer() = default;
  // Time since some moment; never goes back.
  virtual std::chrono::milliseconds now() const = 0;
  virtual void after(std::chrono::milliseconds delay, Action action) = 0;
  // Runs everything that is not due yet with `cancelled`, now and for ever. Blocks until that has happened.
  virtual void cancel_all() = 0;
};

// The machine's time and one thread.
std::unique_ptr<Timer> make_timer();

}  // namespace restic::transport
