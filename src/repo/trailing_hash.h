// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>

#include "base/bytes.h"
#include "repo/cpu_pool.h"
#include "repo/id.h"

namespace restic::repo {

// Hashes content on the pool while one thread is still writing it, so that it is hashed soon after it is
// there. The pool's threads come when there is something to hash, and leave when nothing comes for a while:
// they do not wait for the writer's disk. What the writer may still take back can be hashed, but nobody is
// told of it.
class TrailingHash : public std::enable_shared_from_this<TrailingHash> {
 public:
  // `content` is not empty. `done` is told by one thread or another, once, and must not throw. Make it
  // shared.
  using Done = std::function<void(const Id& id)>;
  TrailingHash(CpuPool& pool, ByteView content, Done done);
  TrailingHash(const TrailingHash&) = delete;
  TrailingHash& operator=(const TrailingHash&) = delete;

  // The writer's calls. The first `bytes` of the content are in place; the last of it is left to complete().
  void written(std::size_t bytes) noexcept;
  // Everything is in place, and right: `done` is told, here or by the pool's thread that is at work. False:
  // nothing was hashed so far; then it is left to the caller, and `done` is forgotten.
  [[nodiscard]] bool complete();
  // The content will not be: nobody is told.
  void give_up() noexcept;

 private:
  enum class Follower { Away, Called, AtWork };

  void follow() noexcept;
  void hash_what_is_there();

  CpuPool& pool_;
  const ByteView content_;
  std::atomic<std::size_t> written_{0};
  std::atomic<bool> given_up_{false};

  std::mutex mutex_;
  Follower follower_ = Follower::Away;  // guarded by mutex_
  Done done_;                           // guarded by mutex_; null: told, forgotten or given up
  IdHasher hasher_;                     // of a follower at work, else of the writer
  std::size_t hashed_ = 0;              // the same
};

}  // namespace restic::repo
