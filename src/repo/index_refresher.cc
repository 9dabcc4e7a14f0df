// SPDX-License-Identifier: MIT
#include "repo/index_refresher.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace restic::repo {

IndexRefresher::IndexRefresher(std::function<void()> refresh, std::chrono::milliseconds pause, Log& log)
    : refresh_(std::move(refresh)), pause_(pause), log_(log) {}

IndexRefresher::~IndexRefresher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void IndexRefresher::ask(const Id& failed_pack, std::function<void()> then) {
  {
    std::lock_guard lock(mutex_);
    asked_.push_back({failed_pack, std::move(then)});
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  }
  changed_.notify_all();
}

void IndexRefresher::work() {
  std::vector<Asked> asked;
  while (take_asked(asked)) {
    if (any_pack_is_new(asked) && pause_after_last_refresh()) {
      try {
        refresh_();
      } catch (const Error& error) {
        log_.warning(std::string("cannot read the index again: ") + error.what());
      }
      last_ = std::chrono::steady_clock::now();
    }
    for (const Asked& one : asked) one.then();
    asked.clear();
  }
}

bool IndexRefresher::take_asked(std::vector<Asked>& asked) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !asked_.empty(); });
  asked.swap(asked_);
  return !asked.empty();
}

bool IndexRefresher::any_pack_is_new(const std::vector<Asked>& asked) {
  bool any = false;
  for (const Asked& one : asked) {
    if (refreshed_for_.size() >= kMostPacks) refreshed_for_.clear();
    any = refreshed_for_.insert(one.pack).second || any;
  }
  return any;
}

bool IndexRefresher::pause_after_last_refresh() {
  std::unique_lock lock(mutex_);
  if (!last_) return !stopping_;  // the first is due at once, on a machine that has just booted too
  return !changed_.wait_until(lock, *last_ + pause_, [&] { return stopping_; });
}

}  // namespace restic::repo
