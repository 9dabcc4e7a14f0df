// SPDX-License-Identifier: MIT
#include "repo/merged_call.h"

namespace restic::repo {

void MergedCall::run(const std::function<void()>& body, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++asked_;
  if (!ended_.wait(lock, stop, [&] { return served_ >= mine || !running_; })) {
    throw Error(Errc::Cancelled, "nobody waits for the answer any more");
  }
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
    ended_.notify_all();
    if (error && error->code() == Errc::Cancelled) throw Error(*error);
    served_ = serving;
    error_ = error;
  }
  if (error_) throw Error(*error_);
}

}  // namespace restic::repo
