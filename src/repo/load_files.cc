// SPDX-License-Identifier: MIT
#include "repo/load_files.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "repo/gate.h"

namespace restic::repo {
namespace {

// The state of one call. The caller waits, so references it holds stay good until the last file is handled;
// should the caller leave sooner, the gate keeps those who come later from using them.
class Loading : public std::enable_shared_from_this<Loading> {
 public:
  Loading(transport::Backend& backend, CpuPool& pool, std::span<const transport::FileName> files,
          std::uint64_t limit, const std::function<void(std::size_t, Result<Bytes>)>& each)
      : backend_(backend), pool_(pool), files_(files), limit_(limit), each_(each) {}

  void run(const std::stop_token& stop) {
    const std::size_t most = std::max<std::size_t>(2, 2 * std::size_t{backend_.parallelism()});
    for (std::size_t i = 0; i < std::min(most, files_.size()); ++i) start_next();
    std::unique_lock lock(mutex_);
    if (all_handled_.wait(lock, stop, [&] { return handled_ == files_.size(); })) return;
    lock.unlock();
    gate_->close();
    throw Error(Errc::Cancelled, "loading files was cancelled");
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
                    const GatePass pass(self->gate_);
                    if (!pass) return;
                    if (self->backend_.lends_threads()) return self->handle(position, content);
                    auto shared = std::make_shared<Result<Bytes>>(std::move(content));
                    self->pool_.submit([self, position, shared] {
                      const GatePass inside(self->gate_);
                      if (inside) self->handle(position, *shared);
                    });
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
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::mutex mutex_;
  std::condition_variable_any all_handled_;
  std::size_t next_ = 0, handled_ = 0;
};

}  // namespace

void load_files(transport::Backend& backend, CpuPool& pool, std::span<const transport::FileName> files,
                std::uint64_t limit, const std::function<void(std::size_t, Result<Bytes>)>& each,
                const std::stop_token& stop) {
  std::make_shared<Loading>(backend, pool, files, limit, each)->run(stop);
}

}  // namespace restic::repo
