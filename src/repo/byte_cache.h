// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace restic::repo {

// Immutable values in memory, and the one account of the memory that they may take: cached values (with
// overhead) and what others reserve for work in flight never exceed `capacity` together, as far as evicting
// can help. Least recently used goes first, but a value that was read ahead and not yet asked for is only
// given up when nothing else is left, the newest first, for a sequential reader wants the oldest next. After
// kPatience it counts as abandoned and ages like the others.
//
// A value somebody holds stays alive after it was evicted. Thread-safe, never blocks: one lock, held for a
// look-up; the readers of one mount ask some ten thousand times a second, and one order and one byte count
// for all are worth more than shards would save.
template <class Key, class Value, class Hash>
class ByteCache {
 public:
  using Ptr = std::shared_ptr<const Value>;
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kPatience{20};
  static constexpr std::uint64_t kEntryOverhead = 256;  // bytes of bookkeeping that an entry is charged with

  explicit ByteCache(std::uint64_t capacity) : capacity_(capacity) {}
  ByteCache(const ByteCache&) = delete;
  ByteCache& operator=(const ByteCache&) = delete;

  // Null when absent. A hit freshens the entry and marks it as read; `was_unread` (may be null) tells of the
  // first.
  Ptr find(const Key& key, bool* was_unread = nullptr) {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    if (was_unread != nullptr) *was_unread = found->second->unread;
    mark_read(found->second);
    return found->second->value;
  }

  // The same, but the entry stays as it is.
  Ptr peek(const Key& key) const {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : found->second->value;
  }

  // Whether a value of so many bytes can ever be kept.
  bool can_hold(std::uint64_t bytes) const { return bytes + kEntryOverhead <= capacity_; }

  // `unread`: read ahead, nobody has asked for it yet. A value that finds no room is not kept; one that never
  // could pushes nothing out.
  void insert(const Key& key, Ptr value, std::uint64_t bytes, bool unread,
              Time now = std::chrono::steady_clock::now()) {
    if (!can_hold(bytes)) return;
    Order evicted;  // freed when the lock is gone: giving megabytes back to the system takes a while
    std::lock_guard lock(mutex_);
    if (entries_.contains(key)) return;
    bytes += kEntryOverhead;
    Order& order = unread ? unread_ : read_;
    order.push_back({key, std::move(value), bytes, unread, now});
    entries_.emplace(key, std::prev(order.end()));
    cached_bytes_ += bytes;
    if (unread) unread_bytes_ += bytes;
    abandon_old(now);
    make_room(evicted);
  }

  // Its reader has passed it: the next to go. Harmless when absent.
  void retire(const Key& key) {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    mark_read(found->second);
    read_.splice(read_.begin(), read_, found->second);
  }

  // Takes room for work in flight, evicting as needed; always succeeds. Every reserve needs its release.
  void reserve(std::uint64_t bytes) {
    Order evicted;
    std::lock_guard lock(mutex_);
    reserved_bytes_ += bytes;
    make_room(evicted);
  }
  void release(std::uint64_t bytes) {
    std::lock_guard lock(mutex_);
    reserved_bytes_ -= bytes;
  }

  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t cached_bytes() const {
    std::lock_guard lock(mutex_);
    return cached_bytes_;
  }
  std::uint64_t reserved_bytes() const {
    std::lock_guard lock(mutex_);
    return reserved_bytes_;
  }
  // What lies here read ahead, unasked for and not abandoned.
  std::uint64_t unread_bytes(Time now = std::chrono::steady_clock::now()) {
    std::lock_guard lock(mutex_);
    abandon_old(now);
    return unread_bytes_;
  }

 private:
  struct Entry {
    Key key;
    Ptr value;
    std::uint64_t bytes;
    bool unread;
    Time since;
  };
  using Order = std::list<Entry>;
  using Position = typename Order::iterator;

  void mark_read(Position entry) {
    Order& order = entry->unread ? unread_ : read_;
    if (entry->unread) unread_bytes_ -= entry->bytes;
    entry->unread = false;
    read_.splice(read_.end(), order, entry);
  }

  void abandon_old(Time now) {
    while (!unread_.empty() && now - unread_.front().since > kPatience) mark_read(unread_.begin());
  }

  void make_room(Order& evicted) {
    while (cached_bytes_ + reserved_bytes_ > capacity_ && !entries_.empty()) {
      if (!read_.empty()) {
        evict(read_, read_.begin(), evicted);
      } else {
        evict(unread_, std::prev(unread_.end()), evicted);
      }
    }
  }

  void evict(Order& order, Position entry, Order& evicted) {
    cached_bytes_ -= entry->bytes;
    if (entry->unread) unread_bytes_ -= entry->bytes;
    entries_.erase(entry->key);
    evicted.splice(evicted.end(), order, entry);
  }

  const std::uint64_t capacity_;
  mutable std::mutex mutex_;
  std::unordered_map<Key, Position, Hash> entries_;
  Order read_;    // the front goes first
  Order unread_;  // in order of arrival
  std::uint64_t cached_bytes_ = 0, unread_bytes_ = 0, reserved_bytes_ = 0;
};

}  // namespace restic::repo
