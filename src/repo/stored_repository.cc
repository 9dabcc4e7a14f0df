// SPDX-License-Identifier: MIT
#include "repo/stored_repository.h"

#include <algorithm>
#include <future>
#include <system_error>
#include <utility>

namespace restic::repo {
namespace {

// Below this a single large blob and its neighbours would leave no room to work in.
constexpr std::uint64_t kLeastMemory = 16U << 20U;
// The allocator loses about this part of the memory between blobs of many sizes that come and go.
constexpr std::uint64_t kLostBetweenBlobs = 16;
// Of a pack of trees, on either side of one, where a request takes longer than the bytes.
constexpr std::uint64_t kTreeNeighbours = 1U << 20U;
constexpr std::chrono::milliseconds kNear{1};

}  // namespace

StoredRepository::StoredRepository(const Room& room, std::unique_ptr<Crypto> crypto, const Config& config,
                                   const RepositoryOptions& options, HeadStart& head_start)
    : backend_(room.backend),
      pool_(room.pool),
      log_(room.log),
      crypto_(std::move(crypto)),
      config_(config),
      local_cache_(options.cache_dir, config_.id, *crypto_, log_),
      index_cache_(local_cache_.open_log("index", options.cache_bytes / 2), pool_),
      tree_log_(local_cache_.open_log("trees", options.cache_bytes / 2 - options.cache_bytes / 16)),
      snapshot_log_(local_cache_.open_log("snapshots", options.cache_bytes / 16)),
      loader_(backend_, *crypto_, config_.version, pool_, log_, &index_cache_),
      snapshots_(*crypto_, config_.version, pool_, log_, snapshot_log_.get()) {
  auto snapshots =
      std::async(std::launch::async, [&] { return snapshots_.load(head_start, stop_.get_token()); });
  IndexLoader opening(head_start, *crypto_, config_.version, pool_, log_, &index_cache_);
  try {
    index_ = opening.load(nullptr, options.index_progress, stop_.get_token());
  } catch (...) {
    stop_.request_stop();  // nobody wants the snapshots any more
    throw;
  }
  snapshots_at_open_ = snapshots.get();
  refresh_index_for(snapshots_at_open_);

  const std::uint64_t memory = std::max(options.memory_bytes, kLeastMemory);
  const auto round_trip = head_start.round_trip();
  BlobReaderOptions reader;
  reader.memory_bytes = memory - memory / 4 - memory / kLostBetweenBlobs;
  reader.limits = fetch_limits(round_trip);
  blobs_ = std::make_unique<PackBlobReader>(
      backend_, *crypto_, pool_, log_, IndexSource{[this] { return index(); }, [this] { refresh_index(); }},
      reader);
  trees_ = std::make_unique<TreeStore>(*blobs_, memory / 4, round_trip > kNear ? kTreeNeighbours : 0,
                                       local_cache_.usable() ? &tree_log_ : nullptr, clock_);
}

StoredRepository::~StoredRepository() {
  stop_.request_stop();
  stop_reading();
}

std::optional<std::uint64_t> StoredRepository::local_cache_bytes() const {
  if (!local_cache_.usable()) return std::nullopt;
  return index_cache_.file_bytes() + tree_log_.file_bytes() + snapshot_log_->stats().bytes;
}

void StoredRepository::stop_reading() {
  blobs_->stop();  // trees come from blobs; first, or else a refresh that ends now passes for the last word
  stop_reading_.request_stop();
}

std::shared_ptr<const Index> StoredRepository::index() const {
  std::lock_guard lock(mutex_);
  return index_;
}

void StoredRepository::refresh_index(const std::stop_token& stop) {
  const auto refresh = [&] {
    std::shared_ptr<const CompactIndex> before;
    {
      std::lock_guard lock(mutex_);
      before = index_;
    }
    auto after = loader_.load(before, {}, stop);
    std::lock_guard lock(mutex_);
    index_ = std::move(after);
  };
  refreshing_.run(refresh, stop);
}

SnapshotList StoredRepository::snapshots() {
  // New ones will most likely want what is new in the index; so it is read beside them.
  std::future<void> refreshed;
  SnapshotList list = snapshots_.load(backend_, stop_reading_.get_token(), [&] {
    const auto refresh = [this] {
      try {
        refresh_index();
      } catch (const std::exception&) {  // whoever needs it tries again, and says why it fails
      }
    };
    try {
      refreshed = std::async(std::launch::async, refresh);
    } catch (const std::system_error&) {  // no thread to be had: then it is read afterwards
    }
  });
  if (refreshed.valid()) refreshed.wait();
  refresh_index_for(list);
  return list;
}

// A snapshot that was made after the index was read has a root tree that the index does not know; or else
// nothing in it is new.
void StoredRepository::refresh_index_for(const SnapshotList& list) {
  const std::shared_ptr<const Index> known = index();
  const bool stale = std::any_of(list.snapshots.begin(), list.snapshots.end(), [&](const Snapshot& snapshot) {
    return !known->contains({BlobType::Tree, snapshot.tree});
  });
  if (stale) refresh_index();
}

}  // namespace restic::repo
