// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "repo/hash_desk.h"

namespace restic::repo {

// Hashes content that another thread is still writing, so that it is hashed soon after it is there. One
// thread writes, and one may follow; if that one does not come before everything is written, the job goes
// back to the writer. What the writer may still take back can be hashed, but nobody is told of it.
class TrailingHash {
 public:
  // There is something to hash, and the job's `done` keeps the desk alive.
  TrailingHash(HashDesk& desk, HashDesk::Job job)
      : desk_(desk), size_(job.content.size()), job_(std::move(job)) {}
  TrailingHash(const TrailingHash&) = delete;
  TrailingHash& operator=(const TrailingHash&) = delete;

  // The follower's call: hashes until everything is written and tells the job; or until the writer gives up.
  // Waits for the writer only, which computes.
  void follow();

  // The writer's calls. The first `bytes` of the content are in place; the last of it is left to complete().
  void written(std::size_t bytes) noexcept;
  // Everything is in place, and right. Returns the job if nobody follows.
  std::optional<HashDesk::Job> complete();
  // The content will not be: nobody is told.
  void give_up() noexcept;

 private:
  enum class Follower { Awaited, Come, Late };
  static constexpr std::size_t kGivenUp = SIZE_MAX;

  bool hash(ByteView content, IdHasher& hasher) const;
  bool nobody_came() noexcept;
  void publish(std::size_t bytes) noexcept;

  HashDesk& desk_;
  const std::size_t size_;
  std::optional<HashDesk::Job> job_;  // the follower's when he has come, else the writer's
  std::atomic<Follower> follower_{Follower::Awaited};
  std::atomic<std::size_t> written_{0};
};

}  // namespace restic::repo
