// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "fs/disk_reserve.h"
#include "fs/tray.h"
#include "repo/id.h"

namespace restic::fs {

// The part of the state folder that belongs to one mount:
//
//   STATE-DIR/<repository id>/slot-<n>/lock         flock'ed while a mount lives
//                                      locks        names of our lock files that may be in the repository
//                                      left-over    the same of mounts that died, until they are removed
//                                      reserve*     see fs/disk_reserve.h
//                                      boot         the run of the machine that the last mount was in
//                                      trays/       see fs/tray.h
//
// A mount takes the first slot that nobody holds, so two mounts never share one. It then also adopts every
// other slot whose mount is gone: the flock ends with its process, so what is found there needs no pid to be
// judged. Adopted trays are sealed, so that they become snapshots; only the open tray of the own slot is
// shown in `new/` again. What is damaged, belongs to another repository or cannot be removed is left alone
// and named in `problems()`.
//
// Blocks on the local disk. Not thread-safe, except note_locks(), sync() and reserve(). Must outlive the
// trays it hands out.
class TrayStore {
 public:
  // Makes the folders (mode 0700) where needed. Throws Error{Usage} when the folder is on a network or FUSE
  // file system or somebody else may write to it, Error{Full, Denied, Io} when it cannot be used.
  TrayStore(const std::string& state_dir, const repo::Id& repository, Log& log);
  TrayStore(const TrayStore&) = delete;
  TrayStore& operator=(const TrayStore&) = delete;

  // The tray for `new/`: the one a dead mount left open, or a new one. To be called once.
  std::unique_ptr<Tray> take_open();
  // Sealed trays found at the start, oldest first. To be called once.
  std::vector<std::unique_ptr<Tray>> take_sealed();
  // An open tray after `current`, with the same owner, mode and ACL.
  std::unique_ptr<Tray> make_next(const Tray& current);

  // The mount's own folder, for files without a name. Stays open as long as the store.
  int folder() const { return slots_.front().folder.get(); }

  // For steps of a commit that need a little space.
  DiskReserve& reserve() { return *reserve_; }

  // All that is in the state folder's file system is durable when it returns. Thread-safe.
  void sync() const;

  // The same for what is left in the open tray when the mount ends: then no power cut can have caught it.
  void sync_at_the_end();

  // Keeps the names of our lock files that may exist (repo::LockJournal). Durable when it returns.
  void note_locks(const std::vector<repo::Id>& may_exist);
  // Names that dead mounts kept so. After trying to remove those files, report which could not be.
  std::vector<repo::Id> left_over_locks() const;
  void keep_left_over_locks(const std::vector<repo::Id>& remaining);

  const std::string& path() const { return path_; }  // of the slot, for messages
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Slot {
    std::string name;
    UniqueFd lock, folder, trays;
  };
  void take_slots();
  bool try_take(const std::string& name);
  void read_slot(Slot& slot, bool own);
  void gather_left_over_locks();
  void name_other_repositories(int state_dir);

  Log& log_;
  repo::Id repository_;
  std::string path_;
  UniqueFd folder_;          // STATE-DIR/<repository id>
  std::vector<Slot> slots_;  // the own one first
  std::optional<DiskReserve> reserve_;
  std::uint64_t last_number_ = 0;
  std::unique_ptr<Tray> open_;
  std::vector<std::unique_ptr<Tray>> sealed_;
  std::vector<std::string> problems_;
};

}  // namespace restic::fs
