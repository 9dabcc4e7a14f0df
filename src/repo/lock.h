// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "repo/id.h"
#include "repo/lock_file.h"
#include "repo/repository.h"

namespace restic::repo {

// Told the names of all lock files of ours that may exist: before one is written and after one is gone.
// Whoever keeps the list on disk can remove exactly those after a crash. Called from any thread, one call at
// a time; may block on the local disk; what it throws fails the acquisition or the refresh.
using LockJournal = std::function<void(const std::vector<Id>& may_exist)>;

// restic's shared lock: held, refreshed, given back, any number of times. All methods but usable() block on
// the network and are called by one thread at a time; usable() by any. After release() or a failed acquire()
// nothing of ours is left, unless the backend refused to remove it; that is logged, stays in the journal and
// is tried again.
class Lock {
 public:
  static constexpr std::chrono::minutes kRefreshEvery{5};
  // Others call a lock stale after 30 minutes; restic stops writing one and a half refreshes before.
  static constexpr std::chrono::seconds kUsableFor{1350};

  // `repository`, `journal` and `clock` must outlive the lock.
  Lock(Repository& repository, LockOwner owner, const LockJournal& journal, const Clock& clock);
  // Does not release: a destructor cannot wait for the network.
  ~Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // Checks, writes, waits 200 ms, checks again. Throws Error{Locked} naming the holder of an exclusive lock,
  // or the lock file that stayed unreadable for 35 s; else what the backend throws.
  void acquire();
  // Writes a new lock file and removes the old one. Throws; the old one then still counts until usable()
  // ends. Once that has ended, also while this writes, only acquire() helps.
  void refresh();
  void release() noexcept;

  // Whether writing is still allowed: held, and last refreshed less than kUsableFor ago.
  bool usable() const;

 private:
  void check_for_conflicts() const;
  void write();
  bool remove(const Id& id) noexcept;
  void remove_all_but(std::size_t newest) noexcept;

  Repository& repository_;
  const LockOwner owner_;
  const LockJournal& journal_;
  const Clock& clock_;
  std::vector<Id> ours_;  // may exist; the newest last
  mutable std::mutex mutex_;
  std::optional<Clock::Instant> refreshed_;  // guarded by mutex_
};

// Removes lock files that a crashed process of ours left behind, by the names its journal kept; those already
// gone are fine. Returns those that could not be removed.
std::vector<Id> remove_left_over_locks(Repository& repository, const std::vector<Id>& names);

}  // namespace restic::repo
