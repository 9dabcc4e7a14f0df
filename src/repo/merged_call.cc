// SPDX-License-Identifier: MIT
#include "repo/merged_call.h"

namespace restic::repo {

void MergedCall::run(const std::function<void()>& body) {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++asked_;
  ended_.wait(lock, [&] { return served_ >= mine || !running_; });
  if (served_ < mine) {
    running_ = true;
    const std::uint64_t serving = asked_;
    std::optional<Error> error;
    lock.unlock();
    try {
      body();
    } catch (const Error& failure) {
      error = failure;
    } catch (const std::exception& failure) {
      error.emplace(Errc::Io, failure.what());
    }
    lock.lock();
    running_ = false;
    served_ = serving;
    error_ = error;
    ended_.notify_all();
  }
  if (error_) throw Error(*error_);
}

}  // namespace restic::repo
