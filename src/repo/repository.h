// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "repo/blob_reader.h"
#include "repo/config_file.h"
#include "repo/cpu_pool.h"
#include "repo/index.h"
#include "repo/snapshot.h"
#include "repo/tree.h"
#include "transport/backend.h"

namespace restic::repo {

class Crypto;  // repo/crypto.h: seals and opens with the master key; the key lives in locked memory

// A password on its way to scrypt. Asked with attempt 1, 2, 3; nullopt: there is none (any more). Only a
// source that reads a terminal answers more than once. The string is wiped by the caller after use.
using PasswordSource = std::function<std::optional<std::string>(int attempt)>;

struct RepositoryOptions {
  std::string key_hint;                        // an id prefix of the key file to try first
  std::uint64_t memory_bytes = 128ULL << 20U;  // blob cache and flights together
  std::string cache_dir;                       // "": no local cache
  std::uint64_t cache_bytes = 0;               // its ceiling
  // Progress of opening, for the terminal: index files loaded of all. May be called from any thread; may be
  // empty.
  std::function<void(std::size_t done, std::size_t total)> index_progress;
};

struct SnapshotList {
  std::vector<Snapshot> snapshots;  // ascending by (time, id)
  std::vector<Id> unreadable;       // files that exist but could not be read or decoded; the log names why
};

// An open repository: keys, config, index, snapshots and the way to blobs. Thread-safe after open().
class Repository {
 public:
  // Reads config and keys, loads all index files. Blocks. Throws WrongPassword, NotFound (no repository
  // there), Unsupported (version), Damaged (names the file), and what the backend throws. `backend`, `pool`
  // and `log` must outlive the repository.
  static std::unique_ptr<Repository> open(transport::Backend& backend, const PasswordSource& password,
                                          const RepositoryOptions& options, CpuPool& pool, Log& log);
  virtual ~Repository() = default;

  virtual const Config& config() const = 0;
  virtual const Crypto& crypto() const = 0;
  virtual transport::Backend& backend() = 0;
  virtual CpuPool& pool() = 0;
  virtual Log& log() = 0;

  // What the files of the local cache take; nothing: there is no local cache.
  virtual std::optional<std::uint64_t> local_cache_bytes() const { return std::nullopt; }

  virtual std::shared_ptr<const Index> index() const = 0;
  // Loads index files not seen yet; when a known one has vanished, starts from scratch. Concurrent calls are
  // merged into one. Blocks on the network; Cancelled once reading is stopped.
  virtual void refresh_index() = 0;
  // The same for those who are going to write, whom stop_reading() does not concern.
  virtual void refresh_index_to_write() { refresh_index(); }

  // Lists and loads the snapshots; files read once are kept. The index that index() returns afterwards knows
  // their blobs. Blocks on the network. Throws when the list itself cannot be had, or the storage goes away:
  // one bad file is `unreadable`, not a failure.
  virtual SnapshotList snapshots() = 0;
  // What the repository had when it was opened: saves a mount the round trip of listing them again.
  virtual SnapshotList snapshots_at_open() { return snapshots(); }

  // Whoever waits in tree(), snapshots(), refresh_index() or for a blob gets Cancelled soon, and so does
  // whoever comes later. For writers all goes on. Does not block.
  virtual void stop_reading() = 0;

  virtual BlobReader& blobs() = 0;
  // A decoded tree, one copy however many snapshots share it, from a byte-bounded cache. Blocks like
  // BlobSlot::wait.
  virtual TreePtr tree(const Id& id) = 0;
  // The tree if it is in memory, else null.
  virtual TreePtr cached_tree(const Id& id) = 0;
  // Starts fetching trees that a walk will want; returns at once.
  virtual void tree_ahead(std::span<const Id> ids) = 0;
};

}  // namespace restic::repo
