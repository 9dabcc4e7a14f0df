// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "repo/blob_reader.h"
#include "repo/byte_cache.h"
#include "repo/gate.h"
#include "repo/tree.h"
#include "repo/tree_log.h"

namespace restic::repo {

// Decoded trees: each once, however many snapshots share it and readers wait for it, in a byte-bounded cache.
// What was read ahead is kept until it was asked for (see ByteCache). Decoding happens on the thread that
// completes the blob. Thread-safe; only tree() blocks.
//
// Reading ahead follows a walk. The trees that ahead() names are fetched first, those named last before
// others, then their subtrees, breadth first, as far as the walker has earned it: with every tree it goes on
// to it may have some more. So a single look into a folder costs little, and a walk soon has a window of
// trees before it, up to half of the cache.
//
// Trees that the local log has are taken from there, ahead by a thread of the store's own that is started
// when it is first needed. Who asks for one that this thread has not come to takes it before its turn.
//
// A tree that the cache cannot hold is there for as long as somebody else holds it, as whoever lists it does.
class TreeStore {
 public:
  // `blobs`, `log` (may be null) and `clock` must outlive the store; `capacity` in bytes. `neighbour_bytes`
  // of a pack on either side are read along with the first tree after a rest, and with a walk; 0 where the
  // storage is near.
  TreeStore(BlobReader& blobs, std::uint64_t capacity, std::uint64_t neighbour_bytes, TreeLog* log,
            const Clock& clock);
  // Trees that somebody waits for fail with Cancelled. Blocks until what is being read from the log has been.
  ~TreeStore();
  TreeStore(const TreeStore&) = delete;
  TreeStore& operator=(const TreeStore&) = delete;

  // Throws what BlobSlot::wait does, and Damaged for a blob that is not a tree.
  TreePtr tree(const Id& id);
  // Null when not in memory.
  TreePtr cached(const Id& id);
  void ahead(std::span<const Id> ids);

 private:
  struct Flight {
    bool ahead = false;                     // began as one
    bool demanded = false;                  // somebody waits
    bool from_log = false;                  // the log's reader brings it,
    bool queued = false;                    // and has not come to it
    std::optional<Result<TreePtr>> result;  // what it ended with
    std::condition_variable landed;
  };
  using FlightPtr = std::shared_ptr<Flight>;

  TreePtr await_log_reader(const Id& id);
  bool take_over(const Id& id, Flight& flight);
  TreePtr from_log(const Id& id);
  TreePtr decode_from_log(const Id& id);
  void read_log();
  void keep(const Id& id, const TreePtr& tree, bool unread);
  TreePtr find_large(const Id& id);
  FlightPtr fly(const Id& id, const BlobSlotPtr& slot, bool ahead);
  void land(const Id& id, const FlightPtr& flight, const BlobSlotPtr& slot);
  void fetch_ahead();
  std::vector<BlobKey> next_batch();
  bool queue_for_log_reader(const Id& id);
  void give_up(std::span<const BlobKey> keys);
  bool forget_old_walk();
  void earn();
  void enqueue_subtrees(const Tree& tree);

  BlobReader& blobs_;
  const std::uint64_t neighbour_bytes_;
  TreeLog* const log_;
  const Clock& clock_;
  ByteCache<Id, Tree, IdHash> cache_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();

  std::mutex large_mutex_;  // for the tree of these that was asked for last
  Id large_id_;
  std::weak_ptr<const Tree> large_;

  // All guarded by mutex_, the flights' members too.
  std::mutex mutex_;
  std::unordered_map<Id, FlightPtr, IdHash> flights_;
  std::size_t flying_ahead_ = 0;
  std::deque<Id> frontier_;                         // to be read ahead, the front first
  std::unordered_set<Id, IdHash> considered_;       // subtrees that were put into it during this walk
  std::size_t credit_ = 0;                          // trees that may still be read ahead
  std::size_t earned_ = 0;                          // trees this walk has gone on to
  std::optional<Clock::Instant> last_walk_;         // when somebody last walked
  bool fetching_ = false;                           // a thread is in fetch_ahead
  std::deque<std::pair<Id, FlightPtr>> log_queue_;  // to be read ahead from the log
  std::condition_variable log_work_;
  bool leaving_ = false;
  std::thread log_reader_;
};

}  // namespace restic::repo
