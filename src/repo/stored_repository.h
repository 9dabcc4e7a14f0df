// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "repo/crypto.h"
#include "repo/fetch_plan.h"
#include "repo/head_start.h"
#include "repo/index_loader.h"
#include "repo/local_cache.h"
#include "repo/log_index_cache.h"
#include "repo/merged_call.h"
#include "repo/pack_blob_reader.h"
#include "repo/repository.h"
#include "repo/snapshot_store.h"
#include "repo/tree_log.h"
#include "repo/tree_store.h"

namespace restic::repo {

// The Repository over a backend. Built by Repository::open, which has the master key and the config by then.
class StoredRepository final : public Repository {
 public:
  struct Room {
    transport::Backend& backend;
    CpuPool& pool;
    Log& log;
  };

  // Loads the index and the snapshots through `head_start`, both at once. Blocks.
  StoredRepository(const Room& room, std::unique_ptr<Crypto> crypto, const Config& config,
                   const RepositoryOptions& options, HeadStart& head_start);
  ~StoredRepository() override;

  const Config& config() const override { return config_; }
  const Crypto& crypto() const override { return *crypto_; }
  transport::Backend& backend() override { return backend_; }
  CpuPool& pool() override { return pool_; }
  Log& log() override { return log_; }

  std::optional<std::uint64_t> local_cache_bytes() const override;
  std::shared_ptr<const Index> index() const override;
  void refresh_index() override { refresh_index(stop_reading_.get_token()); }
  void refresh_index_to_write() override { refresh_index(stop_.get_token()); }
  SnapshotList snapshots() override;
  SnapshotList snapshots_at_open() override { return snapshots_at_open_; }
  void stop_reading() override;
  BlobReader& blobs() override { return *blobs_; }
  TreePtr tree(const Id& id) override { return trees_->tree(id); }
  TreePtr cached_tree(const Id& id) override { return trees_->cached(id); }
  void tree_ahead(std::span<const Id> ids) override { trees_->ahead(ids); }

 private:
  void refresh_index(const std::stop_token& stop);
  void refresh_index_for(const SnapshotList& list);

  transport::Backend& backend_;
  CpuPool& pool_;
  Log& log_;
  const std::unique_ptr<Crypto> crypto_;
  const Config config_;
  const SystemClock clock_;
  std::stop_source stop_;          // of everything
  std::stop_source stop_reading_;  // of what is not done for writers

  LocalCache local_cache_;
  LogIndexCache index_cache_;
  TreeLog tree_log_;
  const std::unique_ptr<CacheLog> snapshot_log_;

  IndexLoader loader_;
  MergedCall refreshing_;
  mutable std::mutex mutex_;
  std::shared_ptr<const CompactIndex> index_;  // guarded by mutex_

  SnapshotStore snapshots_;
  SnapshotList snapshots_at_open_;
  std::unique_ptr<PackBlobReader> blobs_;
  std::unique_ptr<TreeStore> trees_;
};

}  // namespace restic::repo
