// SPDX-License-Identifier: MIT
#include "repo/tree_log.h"

namespace restic::repo {

TreeLog::TreeLog(std::unique_ptr<CacheLog> log) : log_(std::move(log)) {}

TreeLog::~TreeLog() {
  {
    std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

void TreeLog::put(const Id& tree, BlobPtr blob) {
  if (!log_->has_room_for(blob->bytes.size())) return;
  {
    std::lock_guard lock(mutex_);
    if (waiting_bytes_ > kMostWaiting) return;
    waiting_bytes_ += blob->charged;
    waiting_.emplace_back(tree, std::move(blob));
    if (!writer_.joinable()) writer_ = std::thread([this] { write_on(); });
  }
  changed_.notify_all();
}

void TreeLog::write_on() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return leaving_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto [tree, blob] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    log_->put(tree, blob->bytes);
    lock.lock();
    waiting_bytes_ -= blob->charged;
  }
}

}  // namespace restic::repo
