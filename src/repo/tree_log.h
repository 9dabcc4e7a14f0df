// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "repo/blob.h"
#include "repo/cache_log.h"
#include "repo/id.h"

namespace restic::repo {

// Tree blobs kept between mounts: what get() gives back was verified when it was put. Writing is left to a
// thread of its own; blobs that come faster than the disk takes them are dropped, but a single one may be as
// large as the log allows: a folder of a hundred thousand files is the one that is worth it most.
// Thread-safe; get() blocks on the local disk, the destructor until the waiting blobs are written.
class TreeLog {
 public:
  static constexpr std::uint64_t kMostWaiting = 8U << 20U;  // bytes of blobs, and then one more

  explicit TreeLog(std::unique_ptr<CacheLog> log);
  ~TreeLog();
  TreeLog(const TreeLog&) = delete;
  TreeLog& operator=(const TreeLog&) = delete;

  bool contains(const Id& tree) const { return log_->contains(tree); }
  std::optional<Bytes> get(const Id& tree) { return log_->get(tree); }
  void put(const Id& tree, BlobPtr blob);
  std::uint64_t file_bytes() const { return log_->stats().bytes; }

 private:
  void write_on();

  const std::unique_ptr<CacheLog> log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Id, BlobPtr>> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  bool leaving_ = false;
  std::thread writer_;  // started with the first put()
};

}  // namespace restic::repo
