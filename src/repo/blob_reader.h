// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "repo/blob.h"
#include "repo/id.h"
#include "transport/backend.h"

namespace restic::repo {

// A promise of one blob. Any number of threads may wait; the first completion stays. Thread-safe.
class BlobSlot {
 public:
  virtual ~BlobSlot() = default;
  virtual bool ready() const = 0;
  // Blocks until the blob is there. Throws its Error (Damaged, Unavailable, Timeout, NotFound when no index
  // names it, Cancelled), always within a bounded time. Hold no lock while waiting.
  virtual BlobPtr wait() = 0;
  // Runs `then` once: now when the slot is ready, else on the thread that completes it. It must not block or
  // throw.
  virtual void when_ready(std::function<void()> then) = 0;
};
using BlobSlotPtr = std::shared_ptr<BlobSlot>;

struct BlobReaderStats {
  std::uint64_t requests = 0;       // ranges asked of the backend
  std::uint64_t fetched_bytes = 0;  // sealed bytes that came back
  std::uint64_t decoded_bytes = 0;  // plain bytes verified
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t cached_bytes = 0, budget_bytes = 0, in_flight_bytes = 0;
};

// From blob ids to verified plaintext: cache, one flight a blob, merged ranges, parallel decoding. Every
// method is thread-safe; only BlobSlot::wait blocks. Memory is bounded by the budget it was built with:
// cached blobs plus flights. Ahead requests have a share of it and are dropped where they find no room (their
// slots are null); Demand requests always go on, one range at a time at least. A blob asked for ahead and not
// yet wanted is kept before any other.
class BlobReader {
 public:
  virtual ~BlobReader() = default;

  // The blob if it is in memory, else null. Never starts I/O; a hit freshens the entry.
  virtual BlobPtr cached(const BlobKey& key) = 0;
  // One slot for each key, in order; cached blobs come as ready slots. Starts fetching what is missing,
  // neighbours merged into ranges, the first keys first. With Ahead the slots from the first without room on
  // are null.
  virtual std::vector<BlobSlotPtr> request(std::span<const BlobKey> keys, transport::Urgency urgency) = 0;
  // Asks ahead for blobs of the same type that lie near `key` in its pack, up to `bytes` of sealed data on
  // either side: for readers that walk trees or many small files. Of data only blobs that can be whole small
  // files are taken. What was asked for once is not asked for again while `key` itself is in memory.
  virtual void request_neighbours(const BlobKey& key, std::uint64_t bytes) = 0;
  // A sequential reader has passed this blob: it is the next to be evicted. Harmless when it is not in
  // memory.
  virtual void retire(const BlobKey& key) = 0;
  // The plain size by the index; nullopt: not in the repository.
  virtual std::optional<std::uint32_t> plain_size(const BlobKey& key) = 0;
  // Plain bytes, about, that may still be asked for ahead before requests are dropped.
  virtual std::uint64_t room_ahead() const = 0;
  virtual BlobReaderStats stats() const = 0;

  // request + wait for one.
  BlobPtr load(const BlobKey& key) {
    return request(std::span(&key, 1), transport::Urgency::Demand).front()->wait();
  }
};

}  // namespace restic::repo
