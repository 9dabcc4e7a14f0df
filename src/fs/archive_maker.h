// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "fs/snapshot_maker.h"
#include "fs/tray_store.h"
#include "repo/archiver.h"
#include "repo/repository.h"

namespace restic::fs {

// The writing side of a real repository. Keeps the names of its lock files in the tray store, so that the
// next mount removes what a crash left. Thread-safe. The repository, the store and the clock must outlive it.
class ArchiveMaker final : public SnapshotMaker {
 public:
  ArchiveMaker(repo::Repository& repository, TrayStore& store, repo::LockOwner owner,
               std::uint64_t upload_budget, const Clock& clock);

  void store_ahead(UniqueFd fd) override { archiver_.store_ahead(std::move(fd)); }
  void store_beginning(UniqueFd fd, std::uint64_t bytes) override {
    archiver_.store_beginning(std::move(fd), bytes);
  }
  void content_changed(std::uint64_t device, std::uint64_t inode) override {
    archiver_.content_changed(device, inode);
  }
  repo::Snapshot archive(int folder, const repo::ArchiveOptions& options, repo::ArchiveProgress& progress,
                         const std::stop_token& stop) override {
    return archiver_.archive(folder, options, progress, stop);
  }
  std::vector<repo::Id> remove_left_over_locks(const std::vector<repo::Id>& names) override {
    return repo::remove_left_over_locks(repository_, names);
  }

 private:
  repo::Repository& repository_;
  repo::Archiver archiver_;
};

}  // namespace restic::fs
