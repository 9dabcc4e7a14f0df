// SPDX-License-Identifier: MIT
#include "repo/fetch_slot.h"

#include <utility>

namespace restic::repo {

bool FetchSlot::ready() const {
  std::lock_guard lock(mutex_);
  return result_.has_value();
}

BlobPtr FetchSlot::wait() {
  std::unique_lock lock(mutex_);
  completed_.wait(lock, [&] { return result_.has_value(); });
  return result_->value();
}

void FetchSlot::when_ready(std::function<void()> then) {
  {
    std::lock_guard lock(mutex_);
    if (!result_) {
      waiting_.push_back(std::move(then));
      return;
    }
  }
  then();
}

void FetchSlot::complete(Result<BlobPtr> result) {
  std::vector<std::function<void()>> waiting;
  {
    std::lock_guard lock(mutex_);
    if (result_) return;
    result_ = std::move(result);
    waiting.swap(waiting_);
  }
  completed_.notify_all();
  for (const auto& then : waiting) then();
}

}  // namespace restic::repo
