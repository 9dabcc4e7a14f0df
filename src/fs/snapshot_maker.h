// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "base/unique_fd.h"
#include "repo/archiver.h"
#include "repo/id.h"
#include "repo/snapshot.h"

namespace restic::fs {

// What the staging area needs of the repository's writing side. Thread-safe. Contracts and errors are those
// of repo::Archiver and repo::remove_left_over_locks().
class SnapshotMaker {
 public:
  virtual ~SnapshotMaker() = default;
  virtual void store_ahead(UniqueFd fd) = 0;
  virtual void store_beginning(UniqueFd fd, std::uint64_t bytes) = 0;
  virtual void content_changed(std::uint64_t device, std::uint64_t inode) = 0;
  virtual repo::Snapshot archive(int folder, const repo::ArchiveOptions& options,
                                 repo::ArchiveProgress& progress, const std::stop_token& stop) = 0;
  virtual std::vector<repo::Id> remove_left_over_locks(const std::vector<repo::Id>& names) = 0;
};

}  // namespace restic::fs
