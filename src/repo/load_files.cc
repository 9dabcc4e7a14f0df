// SPDX-License-Identifier: MIT
#include "repo/load_files.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

namespace restic::repo {
namespace {

// The state of one call. The caller waits, so references it holds stay good until the last file is handled.
class Loading : public std::enable_shared_from_this<Loading> {
 public:
  Loading(transport::Backend& backend, CpuPool& pool, std::span<const transport::FileName> files,
          std::uint64_t limit, const std::function<void(std::size_t, Result<Bytes>)>& each)
      : backend_(backend), pool_(pool), files_(files), limit_(limit), each_(each) {}

  void run() {
    const std::size_t most = std::max<std::size_t>(2, 2 * std::size_t{backend_.parallelism()});
    for (std::size_t i = 0; i < std::min(most, files_.size()); ++i) start_next();
    std::unique_lock lock(mutex_);
    all_handled_.wait(lock, [&] { return handled_ == files_.size(); });
  }

 private:
  void start_next() {
    std::size_t position = 0;
    {
      std::lock_guard lock(mutex_);
      if (next_ == files_.size()) return;
      position = next_++;
    }
    backend_.load(files_[position], limit_, transport::Urgency::Demand,
                  [self = shared_from_this(), position](Result<Bytes> content) {
                    auto shared = std::make_shared<Result<Bytes>>(std::move(content));
                    self->pool_.submit([self, position, shared] { self->handle(position, *shared); });
                  });
  }

  void handle(std::size_t position, Result<Bytes>& content) {
    each_(position, std::move(content));
    start_next();
    std::lock_guard lock(mutex_);
    if (++handled_ == files_.size()) all_handled_.notify_all();
  }

  transport::Backend& backend_;
  CpuPool& pool_;
  const std::span<const transport::FileName> files_;
  const std::uint64_t limit_;
  const std::function<void(std::size_t, Result<Bytes>)>& each_;
  std::mutex mutex_;
  std::condition_variable all_handled_;
  std::size_t next_ = 0, handled_ = 0;
};

}  // namespace

void load_files(transport::Backend& backend, CpuPool& pool, std::span<const transport::FileName> files,
                std::uint64_t limit, const std::function<void(std::size_t, Result<Bytes>)>& each) {
  std::make_shared<Loading>(backend, pool, files, limit, each)->run();
}

}  // namespace restic::repo
