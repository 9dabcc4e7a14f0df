// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "fs/snapshot_maker.h"
#include "fs/staging.h"
#include "fs/tray_store.h"

namespace restic::fs {

struct CommitterOptions {
  std::optional<std::chrono::milliseconds> after;  // of quiet; nullopt: never by itself
  // What the snapshots say; `hostname` and `tags` give way to the xattrs user.restic.host and
  // user.restic.tags (a list with commas) of `new/`.
  repo::ArchiveOptions snapshot;
  std::chrono::milliseconds first_retry{std::chrono::seconds(1)};  // doubled after each failure
  std::chrono::milliseconds last_retry{std::chrono::minutes(5)};
  // A drop that is not a snapshot after so long is written to the local disk, also one that waits for
  // another.
  std::chrono::milliseconds sync_after{std::chrono::seconds(10)};
};

// One drop, for `.status`.
struct DropStatus {
  enum class State { Waiting, Working, Failed, Durable };
  std::string tray;  // the number that its folder's name begins with
  State state = State::Waiting;
  std::uint64_t files_done = 0, files_total = 0, bytes_done = 0, bytes_total = 0, bytes_uploaded = 0;
  std::uint64_t files_changed_while_read = 0, files_unreadable = 0;
  std::chrono::milliseconds working_for{0};  // this try, or the one that succeeded
  std::chrono::milliseconds next_try_in{0};  // of a failed one
  std::string error;                         // of the last try; empty: none failed
  std::optional<repo::Id> snapshot;          // what it became
};

// Makes a snapshot of every drop, exactly once, however often it takes (the order of its steps: fs/tray.h).
// One thread of its own archives one drop after the other, oldest first; a drop that failed waits, longer
// each time, and lets others pass. Commits come from fsync of `new/`, from quiet with no file open for
// writing, and from finish(). Whoever is told of a failure, or that the mount ends, has the drop on the local
// disk by then. Thread-safe.
class Committer final : public CommitService {
 public:
  // `published` is told of each new snapshot before anybody waiting for it gets an answer; what it throws is
  // logged. Everything given by reference must outlive the committer.
  Committer(Staging& staging, TrayStore& store, SnapshotMaker& maker, CommitterOptions options,
            const Clock& clock, Log& log, std::function<void(const repo::Snapshot&)> published);
  // Stops the try under way; what is not durable is left to the next mount.
  ~Committer() override;
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Begins with the drops that earlier mounts left behind, and with removing their locks.
  void start();

  Ticket commit(std::function<void(const Status&)> done) override;
  bool stop_waiting(Ticket ticket) override;
  void end_waiting() override;
  CommitProgress progress() const override;
  void leave() override;

  // After the unmount: commits what is left, one try for each drop. Blocks until all are durable or have
  // failed once more, or somebody calls leave(). False: something is left for the next mount.
  // `unmounted`: nobody can have a file of `new/` open any more. Else what is open for writing is not
  // committed, and stays in `new/` for the next mount.
  bool finish(bool unmounted);

  // Drops not durable yet, oldest first, and the newest few that are.
  std::vector<DropStatus> drops() const;

 private:
  using State = DropStatus::State;
  struct Drop {
    std::unique_ptr<Tray> tray;
    std::string name;
    State state = State::Waiting;
    repo::ArchiveProgress progress;
    Clock::Instant added{0};
    Clock::Instant due{0};
    Clock::Instant began{0}, ended{0};
    std::chrono::milliseconds retry_after{0};
    std::string error;
    bool tried_to_sync = false;  // because it took long
    std::atomic<bool> disk_failed{false};
    bool tried_last = false;  // its one try after the unmount was made
    std::optional<repo::Id> snapshot;
  };
  using DropPtr = std::shared_ptr<Drop>;
  struct Waiter {
    std::set<DropPtr> drops;
    std::function<void(const Status&)> done;
    Status result = Unit{};  // the first failure
  };

  void run();
  bool commit_if_quiet();
  DropPtr next_due() const;
  void wait(std::unique_lock<std::mutex>& lock);
  repo::Snapshot archive(Drop& drop);
  std::chrono::milliseconds sync_what_takes_long();
  void publish(const repo::Snapshot& snapshot) const;
  void succeed(const DropPtr& drop, const repo::Snapshot& snapshot);
  void fail(const DropPtr& drop, Error error);
  void answer(const DropPtr& drop, const Status& result);
  void answered();
  DropPtr cut();                            // cutting_ is held; null: there is nothing in `new/`
  DropPtr add(std::unique_ptr<Tray> tray);  // mutex_ is held
  void keep_for_the_next_mount();
  void sync_disk() const;
  void remove_left_over_locks();
  DropStatus describe(const Drop& drop) const;

  Staging& staging_;
  TrayStore& store_;
  SnapshotMaker& maker_;
  const CommitterOptions options_;
  const Clock& clock_;
  Log& log_;
  const std::function<void(const repo::Snapshot&)> published_;

  // Held from before a tray is sealed until it is in the list, so that nobody finds it in neither place.
  // Taken before mutex_.
  mutable std::mutex cutting_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DropPtr> pending_;  // oldest first
  std::vector<DropPtr> durable_;  // the newest last; a few
  std::map<Ticket, Waiter> waiters_;
  Ticket last_ticket_ = 0;
  unsigned answering_ = 0;  // threads that call a `done` now
  bool nobody_waits_ = false;
  Clock::Instant locks_due_{0};
  bool finishing_ = false;
  bool leaving_ = false;
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace restic::fs
