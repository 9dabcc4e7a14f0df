// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <mutex>
#include <thread>

namespace restic::tools {

// Turns SIGTERM and SIGINT into calls, on a thread of its own. From construction on the two signals are
// blocked in the constructing thread and all that it starts, so construct it before any other thread. SIGHUP
// (restic's unlock sends it to test whether a lock's holder lives) and SIGPIPE are ignored from then on.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> on_stop);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // What a signal does from now on; the old function has returned and is not called again.
  void redirect(std::function<void()> on_stop);

 private:
  void wait(const std::stop_token& done);

  std::mutex mutex_;  // held during a call
  std::function<void()> on_stop_;
  std::jthread thread_;
};

}  // namespace restic::tools
