// SPDX-License-Identifier: MIT
#include "repo/load_files.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "repo/gate.h"

namespace restic::repo {
namespace {

constexpr std::uint64_t kMostBytes = 64U << 20U;  // under way

// The state of one call. The caller waits, so references it holds stay good until the last file is handled;
// should the caller leave sooner, the gate keeps those who come later from using them.
class Loading : public std::enable_shared_from_this<Loading> {
 public:
  Loading(transport::Backend& backend, CpuPool& pool, transport::FileType type,
          std::span<const transport::FileInfo> files, std::uint64_t limit,
          const std::function<void(std::size_t, Result<Bytes>)>& each)
      : backend_(backend),
        pool_(pool),
        type_(type),
        files_(files),
        limit_(limit),
        each_(each),
        most_(std::max<std::size_t>(2, 2 * std::size_t{backend.parallelism()})) {}

  void run(const std::stop_token& stop) {
    start_some();
    std::unique_lock lock(mutex_);
    if (all_handled_.wait(lock, stop, [&] { return handled_ == files_.size(); })) return;
    lock.unlock();
    gate_->close();
    throw Error(Errc::Cancelled, "loading files was cancelled");
  }

 private:
  void start_some() {
    while (const std::optional<std::size_t> position = take_next()) start(*position);
  }

  // Nothing: they are all started, or those under way are enough.
  std::optional<std::size_t> take_next() {
    const std::lock_guard lock(mutex_);
    if (next_ == files_.size() || under_way_ == most_) return std::nullopt;
    const std::uint64_t size = listed_size(next_);
    if (under_way_ != 0 && size > kMostBytes - bytes_under_way_) return std::nullopt;
    ++under_way_;
    bytes_under_way_ += size;
    return next_++;
  }

  std::uint64_t listed_size(std::size_t position) const {
    return std::min(files_[position].size, kMostBytes);
  }

  void start(std::size_t position) {
    const std::uint64_t most = std::min(limit_, files_[position].size);
    backend_.load({type_, files_[position].name}, most, transport::Urgency::Demand,
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
    {
      const std::lock_guard lock(mutex_);
      --under_way_;
      bytes_under_way_ -= listed_size(position);
    }
    start_some();
    const std::lock_guard lock(mutex_);
    if (++handled_ == files_.size()) all_handled_.notify_all();
  }

  transport::Backend& backend_;
  CpuPool& pool_;
  const transport::FileType type_;
  const std::span<const transport::FileInfo> files_;
  const std::uint64_t limit_;
  const std::function<void(std::size_t, Result<Bytes>)>& each_;
  const std::size_t most_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::mutex mutex_;
  std::condition_variable_any all_handled_;
  std::size_t next_ = 0, under_way_ = 0, handled_ = 0;
  std::uint64_t bytes_under_way_ = 0;
};

}  // namespace

void load_files(transport::Backend& backend, CpuPool& pool, transport::FileType type,
                std::span<const transport::FileInfo> files, std::uint64_t limit,
                const std::function<void(std::size_t, Result<Bytes>)>& each, const std::stop_token& stop) {
  std::make_shared<Loading>(backend, pool, type, files, limit, each)->run(stop);
}

}  // namespace restic::repo
