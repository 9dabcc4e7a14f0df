// SPDX-License-Identifier: MIT
#include "repo/trailing_hash.h"

#include <algorithm>
#include <new>
#include <utility>

namespace restic::repo {

void TrailingHash::follow() {
  std::optional<IdHasher> hasher;
  try {
    hasher.emplace();
    hasher->start();
  } catch (const std::bad_alloc&) {
    return;  // as one who has not come
  }
  Follower expected = Follower::Awaited;
  if (!follower_.compare_exchange_strong(expected, Follower::Come)) return;
  // In the reverse order: the desk is left before the job goes, which keeps it.
  const HashDesk::Job job = *std::exchange(job_, std::nullopt);
  std::optional<HashDesk::Outside> outside(desk_);
  const bool complete = hash(job.content, *hasher);
  outside.reset();
  if (complete) job.done(hasher->finish());
}

// False: the writer gave up.
bool TrailingHash::hash(ByteView content, IdHasher& hasher) const {
  std::size_t hashed = 0;
  while (hashed < content.size()) {
    written_.wait(hashed, std::memory_order_acquire);
    const std::size_t written = written_.load(std::memory_order_acquire);
    if (written == kGivenUp) return false;
    hasher.add(content.subspan(hashed, written - hashed));
    hashed = written;
  }
  return true;
}

void TrailingHash::written(std::size_t bytes) noexcept { publish(std::min(bytes, size_ - 1)); }

std::optional<HashDesk::Job> TrailingHash::complete() {
  if (nobody_came()) return std::exchange(job_, std::nullopt);
  publish(size_);
  return std::nullopt;
}

void TrailingHash::give_up() noexcept {
  if (nobody_came()) {
    job_.reset();
  } else {
    publish(kGivenUp);
  }
}

// Whoever comes now is late.
bool TrailingHash::nobody_came() noexcept {
  Follower expected = Follower::Awaited;
  return follower_.compare_exchange_strong(expected, Follower::Late);
}

void TrailingHash::publish(std::size_t bytes) noexcept {
  written_.store(bytes, std::memory_order_release);
  written_.notify_one();
}

}  // namespace restic::repo
