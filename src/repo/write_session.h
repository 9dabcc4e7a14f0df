// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "repo/blob_writer.h"
#include "repo/lock.h"
#include "repo/memory_budget.h"
#include "repo/repository.h"

namespace restic::repo {

// What a write fails with after the lock could not be refreshed in time.
Error lock_lost();

// One BlobWriter for each time the lock is held, shared by all who write: opened when the first asks, kept
// while anybody uses it or may soon, closed with its index written and the lock given back. A writer that
// failed takes no new users, and the next is opened under a new lock. Thread-safe.
class WriteSessions {
 public:
  // A use of the open session. Not to be kept longer than needed: a session with users is never closed.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : sessions_(std::exchange(other.sessions_, nullptr)), writer_(other.writer_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (sessions_ != nullptr) sessions_->give_back();
    }
    BlobWriter& writer() const { return *writer_; }
    // Throws the writer's failure, or Locked when the lock is too old to write under.
    void check_lock() const { sessions_->check_lock(); }
    // Whether the lock may still be written under, whatever the writer's state.
    bool has_lock() const { return sessions_->lock_.usable(); }

   private:
    friend class WriteSessions;
    Lease(WriteSessions& sessions, BlobWriter& writer) : sessions_(&sessions), writer_(&writer) {}
    WriteSessions* sessions_;
    BlobWriter* writer_;
  };

  // Everything must outlive it. `journal` is the lock's.
  WriteSessions(Repository& repository, MemoryBudget& budget, PackSpool& spool, const LockOwner& owner,
                const LockJournal& journal, std::chrono::milliseconds idle_release, const Clock& clock);
  // Closes the session. Nobody may use it any more.
  ~WriteSessions();
  WriteSessions(const WriteSessions&) = delete;
  WriteSessions& operator=(const WriteSessions&) = delete;

  // Blocks while a session is opened: lock, refreshed index, packs that were left without an index. Index
  // files that landed after an earlier lock was lost are removed first: a prune may have removed their packs.
  // Throws what hinders.
  Lease lease();
  // The same; but none when the session has failed and somebody uses it still, rather than wait for him: for
  // those whom he may wait for.
  std::optional<Lease> lease_unless_failed();
  // Closes a session that nobody uses and gives the lock back. Blocks. With Finish, packs that are not full
  // are uploaded and everything is indexed; with Abandon only packs already uploaded are.
  enum class Ending { Finish, Abandon };
  void close_unused(Ending ending);
  // Refreshes the lock when it is time, stops a session whose lock got too old, closes one that idles or
  // failed. Called by a thread of its own about once a second; tests call it themselves.
  void housekeep();

 private:
  enum class State { Closed, Busy, Open };  // Busy: somebody opens, closes or refreshes it

  std::optional<Lease> lease(bool waits_for_users);
  void give_back();
  void check_lock() const;
  void run(const std::stop_token& stop);
  void open();
  void remove_strays();
  void close(Ending ending) noexcept;
  void refresh_lock() noexcept;
  std::vector<PackEntry> still_there(std::vector<PackEntry> packs);

  Repository& repository_;
  MemoryBudget& budget_;
  PackSpool& spool_;
  const std::chrono::milliseconds idle_release_;
  const Clock& clock_;
  Lock lock_;                             // used by whoever made the state Busy
  std::vector<PackEntry> without_index_;  // the same
  // The same: index files written in part or too late that are still to be removed.
  std::vector<transport::FileName> strays_;
  std::unique_ptr<BlobWriter> writer_;  // the same; used by lease holders, too

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::condition_variable_any opened_;  // for the keeper, which the end of each small use need not wake
  State state_ = State::Closed;         // guarded by mutex_, like the rest
  std::size_t users_ = 0;
  Clock::Instant last_use_{};
  Clock::Instant next_refresh_{};
  std::jthread keeper_;
};

}  // namespace restic::repo
