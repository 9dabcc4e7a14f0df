// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "repo/blob.h"
#include "repo/id.h"

namespace restic::repo {

// Verified blobs in memory, and the one account of the memory that blobs may take: cached blobs (with
// overhead) and what others reserve for flights never exceed `capacity` together, as far as evicting can
// help. Least recently used goes first, but a blob that was read ahead and not yet asked for is only given up
// when nothing else is left, the newest first, for a sequential reader wants the oldest next. After kPatience
// it counts as abandoned and ages like the others.
//
// A blob somebody holds stays alive after it was evicted. Thread-safe, never blocks: one lock, held for a
// look-up; the readers of one mount ask some ten thousand times a second, and a global order and byte count
// are worth more than shards would save.
class BlobCache {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPatience{20};
  static constexpr std::uint64_t kEntryOverhead = 256;  // bytes of bookkeeping that an entry is charged with

  explicit BlobCache(std::uint64_t capacity);
  BlobCache(const BlobCache&) = delete;
  BlobCache& operator=(const BlobCache&) = delete;

  // Null when absent. A hit freshens the entry and marks it as read.
  BlobPtr find(const BlobKey& key);
  // The same, but the entry stays as it is.
  BlobPtr peek(const BlobKey& key) const;
  // `unread`: read ahead, nobody has asked for it yet. A blob that finds no room is not kept.
  void insert(const BlobKey& key, BlobPtr blob, bool unread, Clock::time_point now = Clock::now());
  // Its reader has passed it: the next to go. Harmless when absent.
  void retire(const BlobKey& key);

  // Takes room for work in flight, evicting as needed; always succeeds. Every reserve needs its release.
  void reserve(std::uint64_t bytes);
  void release(std::uint64_t bytes);

  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t cached_bytes() const;
  std::uint64_t reserved_bytes() const;
  // What lies here read ahead, unasked for and not abandoned.
  std::uint64_t unread_bytes(Clock::time_point now = Clock::now());

 private:
  struct Entry;
  using Order = std::list<Entry>;
  struct Entry {
    BlobKey key;
    BlobPtr blob;
    std::uint64_t bytes;
    bool unread;
    Clock::time_point since;
  };

  void mark_read(Order::iterator entry);
  void abandon_old(Clock::time_point now);
  void make_room(Order& evicted);
  void evict(Order& order, Order::iterator entry, Order& evicted);

  const std::uint64_t capacity_;
  mutable std::mutex mutex_;
  std::unordered_map<BlobKey, Order::iterator, BlobKeyHash> entries_;
  Order read_;    // the front goes first
  Order unread_;  // in order of arrival
  std::uint64_t cached_bytes_ = 0, unread_bytes_ = 0, reserved_bytes_ = 0;
};

}  // namespace restic::repo
