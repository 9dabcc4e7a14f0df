// SPDX-License-Identifier: MIT
#include "fs/snapshot_view.h"

#include <algorithm>

#include "base/error.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 2s;        // of a look after a rest
constexpr int kRefreshesToRest = 10;  // without a look

}  // namespace

SnapshotView::SnapshotView(repo::Repository& repository, const VfsOptions& options, Log& log)
    : repository_(repository),
      options_(options),
      log_(log),
      dirs_(std::make_shared<SnapshotDirs>(std::span<const repo::Snapshot>(), options)) {}

SnapshotView::~SnapshotView() { stop(); }

void SnapshotView::load() {
  std::vector<repo::Id> shown;
  SnapshotDirsPtr before;
  bool first = false;
  {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [this] { return !loading_; });
    if (stopping_) return;
    loading_ = true;
    load_began_ = Clock::now();
    shown = shown_;
    before = dirs_;
    first = loads_ == 0;
  }
  SnapshotDirsPtr after;
  try {
    const repo::SnapshotList list = first ? repository_.snapshots_at_open() : repository_.snapshots();
    std::vector<repo::Id> ids;
    ids.reserve(list.snapshots.size());
    for (const auto& snapshot : list.snapshots) ids.push_back(snapshot.id);
    if (ids != shown) {
      after = std::make_shared<SnapshotDirs>(list.snapshots, options_);
      shown = std::move(ids);
    }
  } catch (...) {
    finish_load();
    throw;
  }
  Changed changed;
  {
    std::lock_guard lock(mutex_);
    if (after) {
      dirs_ = after;
      shown_ = std::move(shown);
      changed = changed_;
      telling_ += changed ? 1 : 0;
    }
  }
  finish_load();
  if (!changed) return;
  changed(*before, *after);
  std::lock_guard lock(mutex_);
  --telling_;
  turn_.notify_all();
}

void SnapshotView::finish_load() {
  std::lock_guard lock(mutex_);
  loading_ = false;
  last_load_ = Clock::now();
  ++loads_;
  turn_.notify_all();
}

void SnapshotView::start(Changed changed) {
  std::lock_guard lock(mutex_);
  if (started_) return;
  changed_ = std::move(changed);
  started_ = true;
  last_look_ = Clock::now();
  thread_ = std::thread([this] { keep_fresh(); });
}

void SnapshotView::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    turn_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  changed_ = nullptr;
  turn_.wait(lock, [this] { return telling_ == 0; });
}

SnapshotDirsPtr SnapshotView::dirs() {
  std::unique_lock lock(mutex_);
  const auto now = Clock::now();
  last_look_ = now;
  if (started_ && !stopping_ && now - last_load_ > 2 * options_.refresh) {
    const auto seen = loads_;
    turn_.notify_all();
    // One that has taken long already is not waited for once more by everybody who comes.
    turn_.wait_until(lock, (loading_ ? load_began_ : now) + kPatience,
                     [&] { return loads_ != seen || stopping_; });
  }
  return dirs_;
}

void SnapshotView::keep_fresh() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto attention = std::max<Clock::duration>(kRefreshesToRest * options_.refresh, kPatience);
    const bool resting = Clock::now() - last_look_ > attention;
    if (resting) {
      turn_.wait(lock);
      continue;
    }
    const auto due = last_load_ + options_.refresh;
    if (Clock::now() < due) {
      turn_.wait_until(lock, due);
      continue;
    }
    lock.unlock();
    try {
      load();
    } catch (const std::exception& failure) {
      log_.warning(std::string("the list of snapshots could not be refreshed: ") + failure.what());
    }
    lock.lock();
  }
}

}  // namespace restic::fs
