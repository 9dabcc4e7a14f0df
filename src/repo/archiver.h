// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "repo/archive_progress.h"
#include "repo/lock.h"
#include "repo/repository.h"
#include "repo/snapshot.h"

namespace restic::repo {

struct ArchiverOptions {
  // Bytes of plaintext in work and of sealed packs not yet confirmed, together; at least 64 MiB is used, for
  // less could not hold an open pack of each kind and what is being read.
  std::uint64_t upload_budget = 64ULL << 20U;
  // A folder on a local disk, as a descriptor that stays open: with packs a slow storage keeps waiting there,
  // at most PackSpool::kMost bytes, more of them can be on their way. -1: they wait in memory only.
  int spool_folder = -1;
  LockOwner owner;
  // Records which lock files of ours may exist (see LockJournal); may be empty.
  LockJournal journal;
  // The caller promises to call content_changed() when something in a file that store_ahead() or
  // store_beginning() was given has changed, after the change and before archive(). Then a file whose size is
  // as it was read counts as unchanged even if its times changed (rsync and tar set them after closing, a
  // rename changes ctime). Without the promise size, mtime and ctime count.
  bool changes_are_reported = false;
  // With nothing stored and nothing to store for this long, the lock is given back until it is needed again.
  std::chrono::milliseconds idle_release = std::chrono::minutes(2);
};

struct ArchiveOptions {
  std::string hostname, username;  // as restic would record them
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::string> tags;
  std::vector<std::string> paths;  // the snapshot's `paths`; empty: "/" + each top-level name
  std::string program_version;     // free text in restic's place of "restic 0.19.1"
  bool partial = false;            // make the snapshot without what lastingly cannot be read
  // For exactly one snapshot however often a try is cut off. When all it refers to is durable and just before
  // the snapshot file is written, `before_snapshot` gets its name and its stored (sealed) bytes to keep; what
  // it throws fails the try. The next try gets those bytes as `earlier_snapshot`: if that file is in the
  // repository already, with all it refers to, it is returned and nothing is written. Else those very bytes
  // are written if all they refer to is still in the repository, without a look at the files. Otherwise (a
  // prune came between) everything is stored again as needed, and those bytes are written if they name the
  // same tree; if not, a new snapshot is made, with a new call of `before_snapshot`. Fails with Damaged while
  // the index names a tree of theirs that cannot be read: storing again would not mend that. Bytes that do
  // not open count as none. Both may be empty.
  std::function<void(const Id& id, ByteView stored)> before_snapshot;
  // Told of the snapshot when it is durable, while the lock is given back. May be empty and may block; what
  // it throws, archive() throws.
  std::function<void(const Snapshot&)> when_durable;
  Bytes earlier_snapshot;
};

// From a local folder to a snapshot in the repository: chunk, hash, dedup against the index and what is in
// flight, compress, seal, pack, upload, index, snapshot. Holds restic's shared lock while it works,
// refreshed; when the lock could not be refreshed in restic's time, writing stops with Error{Locked} and a
// later call starts over under a new lock. Dedup decisions are valid only under the lock they were made
// under: whatever is remembered from before is looked up again. Nothing is written to the snapshot list
// before everything it refers to is durable. Thread-safe: several folders may be archived at once, sharing
// one lock and one budget. The repository must outlive it.
class Archiver {
 public:
  Archiver(Repository& repository, ArchiverOptions options, const Clock& clock);
  // Stops what runs (Cancelled), writes the index of packs already uploaded if the backend answers, gives the
  // lock back.
  ~Archiver();
  Archiver(const Archiver&) = delete;
  Archiver& operator=(const Archiver&) = delete;

  // Stores the content of a file that was closed, ahead of the commit. Queues and returns; failures are
  // logged and left to the commit. The archiver owns `fd`, open for reading; it does not have to be at its
  // start. What was stored is remembered by device and inode, so that `archive` need not read the file again.
  void store_ahead(UniqueFd fd);
  // The same for the first `bytes` of a file that grows, if they are not stored yet. To write behind them is
  // no change.
  void store_beginning(UniqueFd fd, std::uint64_t bytes);
  // What was stored ahead of this file counts no more. Cheap, never blocks on I/O.
  void content_changed(std::uint64_t device, std::uint64_t inode);

  // Makes one snapshot of everything in the folder. Blocks until the snapshot file is durable and was read
  // back. Fails with Locked (names the holder), Unavailable, Full, Denied, Io (an unreadable file, unless
  // `partial`), Usage (an empty folder), Cancelled when `stop` was asked for. Called again after a failure it
  // goes on with what the repository already has. Links are stored, never followed; sockets are left out, as
  // restic does. The new blobs are in the repository's index files; Repository::refresh_index() makes them
  // readable here.
  Snapshot archive(int folder_fd, const ArchiveOptions& options, ArchiveProgress& progress,
                   const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::repo
