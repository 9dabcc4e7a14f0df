// SPDX-License-Identifier: MIT
#include "repo/log_index_cache.h"

#include <new>
#include <utility>

namespace restic::repo {

LogIndexCache::LogIndexCache(std::unique_ptr<CacheLog> log, CpuPool& pool)
    : log_(std::move(log)), pool_(pool) {}

LogIndexCache::~LogIndexCache() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

std::vector<IndexSegmentPtr> LogIndexCache::load() {
  const std::vector<LocalSeal::Token> tokens = log_->tokens();
  std::vector<IndexSegmentPtr> segments(tokens.size());
  pool_.for_each(tokens.size(), [&](std::size_t i) {
    std::optional<Bytes> block = log_->get(tokens[i]);
    if (!block) return;
    std::optional<IndexSegment> segment = IndexSegment::from_block(std::move(*block));
    if (segment) segments[i] = std::make_shared<const IndexSegment>(std::move(*segment));
  });
  std::erase(segments, nullptr);
  return segments;
}

void LogIndexCache::store(std::vector<IndexSegmentPtr> added, std::vector<Id> files) {
  {
    const std::lock_guard lock(mutex_);
    added_.insert(added_.end(), added.begin(), added.end());
    files_ = std::move(files);
    work_ = true;
    if (!writer_.joinable()) writer_ = std::thread([this] { write_on(); });
  }
  changed_.notify_all();
}

void LogIndexCache::write_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return work_ || leaving_; });
    if (!std::exchange(work_, false)) return;
    const std::vector<IndexSegmentPtr> added = std::exchange(added_, {});
    const std::vector<Id> files = std::exchange(files_, {});
    lock.unlock();
    for (const IndexSegmentPtr& segment : added) log_->put(segment->file(), segment->block());
    try {
      log_->keep_only(files);
    } catch (const std::bad_alloc&) {  // what is superfluous stays until the next time
    }
    lock.lock();
  }
}

}  // namespace restic::repo
