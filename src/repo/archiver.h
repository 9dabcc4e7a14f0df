// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.h"
#include "repo/repository.h"
#include "repo/snapshot.h"

namespace restic::repo {

struct ArchiveOptions {
  std::string hostname, username;  // as restic would record them
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::string> tags;
  std::vector<std::string> paths;  // the snapshot's `paths`; empty: "/" + each top-level name
  bool partial = false;            // make the snapshot without the files that cannot be read
};

// What `.status` and umount show; written by the archiver, read by anybody.
struct ArchiveProgress {
  std::atomic<std::uint64_t> files_done{0}, files_total{0};
  std::atomic<std::uint64_t> bytes_done{0}, bytes_total{0};  // plain bytes of files chunked or found unchanged
  std::atomic<std::uint64_t> bytes_uploaded{0};              // sealed bytes the backend has confirmed
  std::atomic<std::uint64_t> files_changed_while_read{0}, files_unreadable{0};
};

// From a local folder to a snapshot in the repository: chunk, hash, dedup against the index and what is in flight,
// compress, seal, pack, upload, index, snapshot. Holds restic's shared lock from its first upload to the end, refreshed;
// when the lock could not be refreshed in restic's time, writing stops with Error{Locked} and a later call starts over
// under a new lock. Nothing is written to the snapshot list before everything it refers to is durable.
// Thread-safe; memory is bounded by `upload_budget`.
class Archiver {
 public:
  // `upload_budget`: bytes of plaintext in work and sealed packs not yet confirmed, together.
  Archiver(Repository& repository, std::uint64_t upload_budget);
  ~Archiver();
  Archiver(const Archiver&) = delete;
  Archiver& operator=(const Archiver&) = delete;

  // Stores the content of a file that was closed, ahead of the commit. Queues and returns; failures are left to the
  // commit. What was stored is remembered by (device, inode, size, mtime, ctime) of the file as it was read, so that
  // `archive` need not read an unchanged file again. `fd` is a duplicate the archiver owns.
  void store_ahead(int fd);

  // Makes one snapshot of everything in the folder. Blocks until the snapshot file is durable and was read back; its
  // Error says why not: Locked names the holder, Unavailable, Full, Denied, Cancelled when `stop` was asked for.
  // Called again after a failure it goes on with what the repository already has.
  Snapshot archive(int folder_fd, const ArchiveOptions& options, ArchiveProgress& progress, std::stop_token stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::repo
