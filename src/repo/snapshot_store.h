// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "repo/cache_log.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/merged_call.h"
#include "repo/repository.h"
#include "repo/snapshot.h"
#include "transport/backend.h"

namespace restic::repo {

// The snapshots of a repository. A snapshot file never changes, so each is read once. Thread-safe.
class SnapshotStore {
 public:
  // All must outlive the store; `cache` may be null.
  SnapshotStore(const Crypto& crypto, unsigned version, CpuPool& pool, Log& log, CacheLog* cache);

  // Lists the files and loads those not known yet, many at once. Concurrent calls share a run. Blocks on the
  // network. Throws what listing throws, an outage during the loads (a snapshot that could not be asked for
  // is not unreadable, and must not look as if it were not there), and Cancelled as soon as `stop` is asked
  // for. A file that arrives damaged is loaded once more: the line may be to blame. `missing_some`, if any,
  // is called when new files are listed, before they are loaded.
  SnapshotList load(transport::Backend& backend, const std::stop_token& stop = {},
                    const std::function<void()>& missing_some = {});
  // What the last load found.
  SnapshotList list() const;

 private:
  using SnapshotPtr = std::shared_ptr<const Snapshot>;

  std::vector<transport::FileInfo> forget_vanished(const std::vector<transport::FileInfo>& files);
  void take_from_cache(std::vector<transport::FileInfo>& missing);
  bool any_new(const std::vector<transport::FileInfo>& missing) const;
  void load_all(transport::Backend& backend, std::span<const transport::FileInfo> files,
                const std::stop_token& stop);
  using Taker = std::function<void(const transport::FileInfo&, Result<Bytes>)>;
  void load_each(transport::Backend& backend, std::span<const transport::FileInfo> files, const Taker& taker,
                 const std::stop_token& stop);
  Status add(const transport::FileInfo& file, Result<Bytes> content);
  bool may_be_better_next_time(const transport::FileInfo& file, const Error& error) const;
  void reject(const transport::FileInfo& file, const Error& error);

  const Crypto& crypto_;
  const unsigned version_;
  CpuPool& pool_;
  Log& log_;
  CacheLog* const cache_;
  MergedCall loading_;

  mutable std::mutex mutex_;
  std::unordered_map<Id, SnapshotPtr, IdHash> known_;
  std::set<Id> unreadable_;
};

}  // namespace restic::repo
