// SPDX-License-Identifier: MIT
#include "repo/index_refresher.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace restic::repo {

IndexRefresher::IndexRefresher(std::function<void()> refresh, std::chrono::milliseconds pause, Log& log,
                               Clock clock)
    : refresh_(std::move(refresh)), pause_(pause), log_(log), clock_(std::move(clock)) {}

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
    if (any_is_due(asked) && pause_after_last_refresh()) {
      const Time begun = clock_();
      if (refresh()) remember(asked, begun);
      last_ = std::chrono::steady_clock::now();
    }
    for (const Asked& one : asked) one.then();
    asked.clear();
  }
}

bool IndexRefresher::refresh() {
  try {
    refresh_();
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::Cancelled) {  // else we are closing
      log_.warning(std::string("cannot read the index again: ") + error.what());
    }
  } catch (const std::exception& failure) {  // no memory
    log_.warning(std::string("cannot read the index again: ") + failure.what());
  }
  return false;
}

bool IndexRefresher::take_asked(std::vector<Asked>& asked) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !asked_.empty(); });
  asked.swap(asked_);
  return !asked.empty();
}

bool IndexRefresher::any_is_due(const std::vector<Asked>& asked) const {
  const Time now = clock_();
  return std::any_of(asked.begin(), asked.end(), [&](const Asked& one) {
    const auto found = refreshed_for_.find(one.pack);
    return found == refreshed_for_.end() || now - found->second >= kVerdictHolds;
  });
}

void IndexRefresher::remember(const std::vector<Asked>& asked, Time refreshed) {
  for (const Asked& one : asked) {
    if (refreshed_for_.size() >= kMostPacks) refreshed_for_.clear();
    refreshed_for_[one.pack] = refreshed;
  }
}

bool IndexRefresher::pause_after_last_refresh() {
  std::unique_lock lock(mutex_);
  if (!last_) return !stopping_;  // the first is due at once, on a machine that has just booted too
  return !changed_.wait_until(lock, *last_ + pause_, [&] { return stopping_; });
}

}  // namespace restic::repo
