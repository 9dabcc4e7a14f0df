// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace restic::test {

// One thread that runs each action when it falls due, in that order, and keeps parked actions until they are
// released. Actions take `cancelled`: true when the destructor runs what was still parked or not yet due.
// Thread-safe; actions may add actions.
class DelayedCalls {
 public:
  using Action = std::function<void(bool cancelled)>;

  DelayedCalls();
  ~DelayedCalls();
  DelayedCalls(const DelayedCalls&) = delete;
  DelayedCalls& operator=(const DelayedCalls&) = delete;

  void after(std::chrono::milliseconds delay, Action action);
  // `since`: releases() when it was decided to park the action. A release since then counts for it.
  void park(Action action, std::size_t since);
  void release();  // parked actions fall due now
  std::size_t releases() const;
  void wait_for_parked(std::size_t count) const;  // blocks

 private:
  using Clock = std::chrono::steady_clock;

  void loop();

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::multimap<Clock::time_point, Action> due_;
  std::vector<Action> parked_;
  std::size_t releases_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace restic::test
