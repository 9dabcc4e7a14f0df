// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "repo/id.h"
#include "repo/repository.h"
#include "repo/tree.h"

namespace restic::repo {

// Whose lock it is, as restic shows it to people. The pid is always the real one of this process.
struct LockOwner {
  std::string hostname, username;
  std::uint32_t uid = 0, gid = 0;
};

// One lock file (FORMAT: locks).
struct LockInfo {
  Timestamp time;
  bool exclusive = false;
  LockOwner owner;
  std::int64_t pid = 0;
};

// Throws Error{Damaged}.
LockInfo decode_lock(ByteView json);
std::string encode_lock(const LockInfo& lock);

// Told the names of all lock files of ours that may exist: before one is written and after one is gone.
// Whoever keeps the list on disk can remove exactly those after a crash. Called from any thread, one call at
// a time; may block on the local disk; what it throws fails the acquisition or the refresh.
using LockJournal = std::function<void(const std::vector<Id>& may_exist)>;

// restic's shared lock: held, refreshed, given back. All methods block on the network and are thread-safe;
// refresh() and release() are called by one thread at a time. After release() or a failed acquire() nothing
// of ours is left, unless the backend refused; that is logged and stays in the journal.
class Lock {
 public:
  static constexpr std::chrono::minutes kRefreshEvery{5};
  // restic gives a lock up 1.5 refreshes before others may call it stale (30 minutes).
  static constexpr std::chrono::seconds kUsableFor{1350};

  // `repository`, `journal` and `clock` must outlive the lock.
  Lock(Repository& repository, const LockOwner& owner, const LockJournal& journal, const Clock& clock);
  // Does not release: a destructor cannot report.
  ~Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // Checks, writes, waits 200 ms, checks again. Throws Error{Locked} naming the holder of an exclusive lock,
  // or the lock file that cannot be read; else what the backend throws.
  void acquire();
  // Writes a new lock file and removes the old one. Throws; the old file then still counts until usable()
  // ends.
  void refresh();
  // Removes our lock files. A backend that refuses is logged, not an error.
  void release() noexcept;

  // Whether writing is still allowed: held, and last refreshed less than kUsableFor ago. Takes no lock over
  // I/O.
  bool usable() const;

 private:
  void check_for_conflicts() const;
  Id write();
  bool remove(const Id& id) noexcept;
  void note(std::vector<Id> may_exist);

  Repository& repository_;
  const LockOwner owner_;
  const LockJournal& journal_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<Id> ours_;  // may exist
  std::optional<Clock::Instant> refreshed_;
};

// Removes lock files that a crashed process of ours left behind, by the names its journal kept; those already
// gone are fine. Returns those that could not be removed.
std::vector<Id> remove_left_over_locks(Repository& repository, const std::vector<Id>& names);

}  // namespace restic::repo
