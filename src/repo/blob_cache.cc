// SPDX-License-Identifier: MIT
#include "repo/blob_cache.h"

#include <iterator>
#include <utility>

namespace restic::repo {

BlobCache::BlobCache(std::uint64_t capacity) : capacity_(capacity) {}

BlobPtr BlobCache::find(const BlobKey& key) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  mark_read(found->second);
  return found->second->blob;
}

BlobPtr BlobCache::peek(const BlobKey& key) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->second->blob;
}

// What is evicted is freed after the lock is gone: giving megabytes back to the system takes a while.
void BlobCache::insert(const BlobKey& key, BlobPtr blob, bool unread, Clock::time_point now) {
  Order evicted;
  std::lock_guard lock(mutex_);
  if (entries_.contains(key)) return;
  const std::uint64_t bytes = blob->charged + kEntryOverhead;
  Order& order = unread ? unread_ : read_;
  order.push_back({key, std::move(blob), bytes, unread, now});
  entries_.emplace(key, std::prev(order.end()));
  cached_bytes_ += bytes;
  if (unread) unread_bytes_ += bytes;
  abandon_old(now);
  make_room(evicted);
}

void BlobCache::retire(const BlobKey& key) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  mark_read(found->second);
  read_.splice(read_.begin(), read_, found->second);
}

void BlobCache::reserve(std::uint64_t bytes) {
  Order evicted;
  std::lock_guard lock(mutex_);
  reserved_bytes_ += bytes;
  make_room(evicted);
}

void BlobCache::release(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  reserved_bytes_ -= bytes;
}

std::uint64_t BlobCache::cached_bytes() const {
  std::lock_guard lock(mutex_);
  return cached_bytes_;
}

std::uint64_t BlobCache::reserved_bytes() const {
  std::lock_guard lock(mutex_);
  return reserved_bytes_;
}

std::uint64_t BlobCache::unread_bytes(Clock::time_point now) {
  std::lock_guard lock(mutex_);
  abandon_old(now);
  return unread_bytes_;
}

void BlobCache::mark_read(Order::iterator entry) {
  if (entry->unread) {
    entry->unread = false;
    unread_bytes_ -= entry->bytes;
    read_.splice(read_.end(), unread_, entry);
  } else {
    read_.splice(read_.end(), read_, entry);
  }
}

void BlobCache::abandon_old(Clock::time_point now) {
  while (!unread_.empty() && now - unread_.front().since > kPatience) mark_read(unread_.begin());
}

void BlobCache::make_room(Order& evicted) {
  while (cached_bytes_ + reserved_bytes_ > capacity_ && !entries_.empty()) {
    if (!read_.empty()) {
      evict(read_, read_.begin(), evicted);
    } else {
      evict(unread_, std::prev(unread_.end()), evicted);
    }
  }
}

void BlobCache::evict(Order& order, Order::iterator entry, Order& evicted) {
  cached_bytes_ -= entry->bytes;
  if (entry->unread) unread_bytes_ -= entry->bytes;
  entries_.erase(entry->key);
  evicted.splice(evicted.end(), order, entry);
}

}  // namespace restic::repo
