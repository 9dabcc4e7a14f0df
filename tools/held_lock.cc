// SPDX-License-Identifier: MIT
#include "tools/held_lock.h"

#include <string>

#include "base/error.h"
#include "tools/identity.h"

namespace restic::tools {

HeldLock::HeldLock(repo::Repository& repository, Log& log)
    : log_(log),
      journal_([](const std::vector<repo::Id>&) {}),
      lock_(repository, lock_owner(), journal_, clock_) {
  lock_.acquire();
  keeper_ = std::jthread([this](const std::stop_token& stop) { keep_fresh(stop); });
}

HeldLock::~HeldLock() {
  keeper_.request_stop();
  keeper_.join();
  lock_.release();
}

void HeldLock::keep_fresh(const std::stop_token& stop) {
  const auto stopped = [&stop] { return stop.stop_requested(); };
  for (;;) {
    {
      std::unique_lock waiting(mutex_);
      if (woken_.wait_for(waiting, stop, repo::Lock::kRefreshEvery, stopped)) return;
      if (stopped()) return;
    }
    try {
      lock_.refresh();
    } catch (const Error& error) {
      log_.warning(std::string("the repository's lock could not be refreshed: ") + error.what());
    }
  }
}

}  // namespace restic::tools
