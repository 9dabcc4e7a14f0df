// SPDX-License-Identifier: MIT
#include "repo/trailing_hash.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>
#include <utility>

namespace restic::repo {
namespace {

// Waking a thread of the pool takes about as long.
constexpr std::chrono::microseconds kPatience{100};

}  // namespace

TrailingHash::TrailingHash(CpuPool& pool, ByteView content, Done done)
    : pool_(pool), content_(content), done_(std::move(done)) {
  hasher_.start();
}

void TrailingHash::written(std::size_t bytes) noexcept {
  written_.store(std::min(bytes, content_.size() - 1), std::memory_order_release);
  const std::lock_guard lock(mutex_);
  if (follower_ != Follower::Away || hashed_ == written_) return;
  try {
    pool_.submit([self = shared_from_this()] { self->follow(); });
    follower_ = Follower::Called;
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the writer hashes in the end
  }
}

bool TrailingHash::complete() {
  Done done;
  {
    const std::lock_guard lock(mutex_);
    if (follower_ == Follower::AtWork) {
      written_.store(content_.size(), std::memory_order_release);
      return true;
    }
    done.swap(done_);
  }
  if (hashed_ == 0) return false;
  hasher_.add(content_.subspan(hashed_));
  done(hasher_.finish());
  return true;
}

void TrailingHash::give_up() noexcept {
  given_up_ = true;
  Done forgotten;
  const std::lock_guard lock(mutex_);
  if (follower_ != Follower::AtWork) forgotten.swap(done_);
}

void TrailingHash::follow() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!done_) return;  // called in vain
    follower_ = Follower::AtWork;
  }
  Done done;
  bool complete = false;
  for (bool leaves = false; !leaves;) {
    hash_what_is_there();
    const std::lock_guard lock(mutex_);
    const bool given_up = given_up_;
    complete = hashed_ == content_.size();
    leaves = complete || given_up || hashed_ == written_.load(std::memory_order_acquire);
    if (complete || given_up) done.swap(done_);
    if (leaves) follower_ = Follower::Away;
  }
  if (complete) done(hasher_.finish());
}

// Returns when there is nothing more for a while.
void TrailingHash::hash_what_is_there() {
  auto since = std::chrono::steady_clock::now();
  while (hashed_ < content_.size() && !given_up_) {
    const std::size_t written = written_.load(std::memory_order_acquire);
    if (written == hashed_) {
      if (std::chrono::steady_clock::now() - since > kPatience) return;
      std::this_thread::yield();
      continue;
    }
    hasher_.add(content_.subspan(hashed_, written - hashed_));
    hashed_ = written;
    since = std::chrono::steady_clock::now();
  }
}

}  // namespace restic::repo
