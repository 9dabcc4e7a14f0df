// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "repo/lock.h"
#include "repo/repository.h"

namespace restic::tools {

// `-o lock`: restic's shared lock from construction to destruction, refreshed by a thread of its own. What it
// is given must outlive it. When refreshing fails the mount goes on, as it would without a lock: the log
// warns, and the next refresh tries again. After a crash the lock file stays; `restic unlock` knows that its
// process is gone.
class HeldLock {
 public:
  // Blocks on the network. Throws Error{Locked} naming the holder of an exclusive lock.
  HeldLock(repo::Repository& repository, Log& log);
  ~HeldLock();
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  void keep_fresh(const std::stop_token& stop);

  Log& log_;
  SystemClock clock_;
  const repo::LockJournal journal_;  // empty: nothing of this is kept on disk
  repo::Lock lock_;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::jthread keeper_;
};

}  // namespace restic::tools
