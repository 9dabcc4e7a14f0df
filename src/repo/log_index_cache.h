// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "repo/cache_log.h"
#include "repo/cpu_pool.h"
#include "repo/index_cache.h"

namespace restic::repo {

// The flat index: the segments as they lie in memory, one record each in a CacheLog. Thread-safe. The
// destructor waits until what was handed to store() is written.
class LogIndexCache final : public IndexCache {
 public:
  LogIndexCache(std::unique_ptr<CacheLog> log, CpuPool& pool);
  ~LogIndexCache() override;
  LogIndexCache(const LogIndexCache&) = delete;
  LogIndexCache& operator=(const LogIndexCache&) = delete;

  std::vector<IndexSegmentPtr> load() override;
  void store(std::vector<IndexSegmentPtr> added, std::vector<Id> files) override;
  std::uint64_t file_bytes() const { return log_->stats().bytes; }

 private:
  void write_on();

  const std::unique_ptr<CacheLog> log_;
  CpuPool& pool_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<IndexSegmentPtr> added_;  // waiting to be written
  std::vector<Id> files_;
  bool work_ = false, leaving_ = false;
  std::thread writer_;  // started with the first store()
};

}  // namespace restic::repo
