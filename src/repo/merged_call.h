// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "base/error.h"

namespace restic::repo {

// Merges concurrent calls of one slow operation: whoever calls while it runs waits for the next run, and all
// who wait share that one, so everybody gets a run that began after their call. A run that ended with
// Cancelled counts for its own caller alone, for it says nothing to those who still want to know.
// Thread-safe; blocks.
class MergedCall {
 public:
  // Runs `body` or waits for a run of the same body by another thread; throws the Error of that run. The wait
  // ends with Cancelled when `stop` is asked for; a running body has to see to that by itself.
  void run(const std::function<void()>& body, const std::stop_token& stop = {});

 private:
  std::mutex mutex_;
  std::condition_variable_any ended_;
  bool running_ = false;
  std::uint64_t asked_ = 0;     // calls so far
  std::uint64_t served_ = 0;    // calls up to this one have had their run
  std::optional<Error> error_;  // of the last run
};

}  // namespace restic::repo
