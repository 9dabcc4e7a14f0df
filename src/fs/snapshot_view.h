// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "fs/snapshot_dirs.h"
#include "repo/repository.h"

namespace restic::fs {

// Keeps the folders of snapshots up to date. While somebody looks at them the list is read anew every
// `options.refresh`; when nobody has for a while it rests, and the first look after that waits shortly for
// news, so that `latest` is not yesterday's. Thread-safe; no lock is held while the repository is asked or
// `changed` runs.
class SnapshotView {
 public:
  using Changed = std::function<void(const SnapshotDirs& before, const SnapshotDirs& after)>;

  SnapshotView(repo::Repository& repository, const VfsOptions& options, Log& log);
  ~SnapshotView();
  SnapshotView(const SnapshotView&) = delete;
  SnapshotView& operator=(const SnapshotView&) = delete;

  // Reads the list now; the first time, what the repository had when it was opened. Blocks; a failure is
  // thrown and changes nothing. A call that comes while another one reads starts after it, so it sees what
  // was there when it was called.
  void load();
  // Starts the thread; `changed` is called after every load that changed something, by the thread that
  // loaded.
  void start(Changed changed);
  // Ends the thread. `changed` is not running and is not called again; load() does nothing any more.
  void stop();

  // The folders as known, never null. Blocks after a rest, until the list has been read, but for no
  // longer than two seconds of that.
  SnapshotDirsPtr dirs();

 private:
  using Clock = std::chrono::steady_clock;
  void keep_fresh();
  void finish_load();

  repo::Repository& repository_;
  const VfsOptions& options_;
  Log& log_;

  std::mutex mutex_;
  std::condition_variable turn_;  // for everything below
  SnapshotDirsPtr dirs_;
  std::vector<repo::Id> shown_;  // ids of the list that dirs_ was made of
  Changed changed_;
  unsigned telling_ = 0;  // calls of `changed` under way
  bool loading_ = false;
  bool started_ = false, stopping_ = false;
  std::uint64_t loads_ = 0;  // finished, well or not
  Clock::time_point load_began_{}, last_load_{}, last_look_{};
  std::thread thread_;
};

}  // namespace restic::fs
