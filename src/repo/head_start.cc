// SPDX-License-Identifier: MIT
#include "repo/head_start.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "transport/file_names.h"

namespace restic::repo {

using transport::FileInfo;
using transport::FileName;
using transport::FileType;
using transport::Urgency;

namespace {

constexpr std::uint64_t kMaxConfig = 64U << 10U;

// An answer that was asked for before anybody wanted it: whichever of the two comes last brings them
// together.
template <class T>
class EarlyAnswer {
 public:
  using Done = std::function<void(Result<T>)>;

  void arrived(Result<T> result) {
    Done done;
    {
      std::lock_guard lock(mutex_);
      if (!wanted_) {
        result_ = std::move(result);
        return;
      }
      done = std::move(*wanted_);
    }
    done(std::move(result));
  }

  void want(CpuPool& pool, Done done) {
    std::lock_guard lock(mutex_);
    if (!result_) {
      wanted_ = std::move(done);
      return;
    }
    auto result = std::make_shared<Result<T>>(std::move(*result_));
    pool.submit([done = std::move(done), result] { done(std::move(*result)); });
  }

 private:
  std::mutex mutex_;
  std::optional<Result<T>> result_;
  std::optional<Done> wanted_;
};

using EarlyFile = std::shared_ptr<EarlyAnswer<Bytes>>;
using EarlyList = std::shared_ptr<EarlyAnswer<std::vector<FileInfo>>>;

}  // namespace

// Outlives the HeadStart for as long as an answer is under way.
class HeadStart::State : public std::enable_shared_from_this<HeadStart::State> {
 public:
  State(transport::Backend& backend, CpuPool& pool) : backend_(backend), pool_(pool) {}

  transport::Backend& backend() { return backend_; }
  CpuPool& pool() { return pool_; }

  void start() {
    load_early({FileType::Config, ""}, kMaxConfig, Urgency::Demand);
    for (const FileType type : {FileType::Index, FileType::Snapshot}) {
      auto early = std::make_shared<EarlyAnswer<std::vector<FileInfo>>>();
      {
        std::lock_guard lock(mutex_);
        lists_[type] = early;
      }
      backend_.list(type, [self = shared_from_this(), type, early](Result<std::vector<FileInfo>> files) {
        if (files.ok()) self->load_small_ones(type, files.value());
        early->arrived(std::move(files));
      });
    }
  }

  EarlyFile take_file(const FileName& file) {
    std::lock_guard lock(mutex_);
    auto found = files_.extract({file.type, file.name});
    return found.empty() ? nullptr : found.mapped();
  }

  EarlyList take_list(FileType type) {
    std::lock_guard lock(mutex_);
    auto found = lists_.extract(type);
    return found.empty() ? nullptr : found.mapped();
  }

  std::chrono::microseconds round_trip() {
    std::lock_guard lock(mutex_);
    return round_trip_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void load_early(const FileName& file, std::uint64_t limit, Urgency urgency) {
    auto early = std::make_shared<EarlyAnswer<Bytes>>();
    {
      std::lock_guard lock(mutex_);
      if (!files_.emplace(std::pair(file.type, file.name), early).second) return;
    }
    backend_.load(file, limit, urgency,
                  [self = shared_from_this(), early, began = Clock::now()](Result<Bytes> content) {
                    const auto took =
                        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
                    {
                      std::lock_guard lock(self->mutex_);
                      self->round_trip_ = std::min(self->round_trip_, took);
                    }
                    early->arrived(std::move(content));
                  });
  }

  void load_small_ones(FileType type, const std::vector<FileInfo>& files) {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < std::min(kMostFiles, files.size()); ++i) {
      if (!transport::is_storage_name(files[i].name)) continue;
      if (files[i].size > kMostBytes - bytes) return;
      bytes += files[i].size;
      load_early({type, files[i].name}, files[i].size, Urgency::Ahead);
    }
  }

  transport::Backend& backend_;
  CpuPool& pool_;
  std::mutex mutex_;
  std::map<std::pair<FileType, std::string>, EarlyFile> files_;
  std::map<FileType, EarlyList> lists_;
  std::chrono::microseconds round_trip_{1'000'000};
};

HeadStart::HeadStart(transport::Backend& backend, CpuPool& pool)
    : state_(std::make_shared<State>(backend, pool)) {
  state_->start();
}

HeadStart::~HeadStart() = default;

std::chrono::microseconds HeadStart::round_trip() const { return state_->round_trip(); }

void HeadStart::load(const FileName& file, std::uint64_t limit, Urgency urgency, transport::LoadDone done) {
  if (const EarlyFile early = state_->take_file(file)) {
    early->want(state_->pool(), std::move(done));
  } else {
    state_->backend().load(file, limit, urgency, std::move(done));
  }
}

void HeadStart::list(FileType type, transport::ListDone done) {
  if (const EarlyList early = state_->take_list(type)) {
    early->want(state_->pool(), std::move(done));
  } else {
    state_->backend().list(type, std::move(done));
  }
}

void HeadStart::load_range(const FileName& file, transport::ByteRange range, Urgency urgency,
                           transport::LoadDone done) {
  state_->backend().load_range(file, range, urgency, std::move(done));
}

void HeadStart::load_range_arriving(const FileName& file, transport::ByteRange range, Urgency urgency,
                                    const transport::OnArriving& arriving, transport::LoadDone done) {
  state_->backend().load_range_arriving(file, range, urgency, arriving, std::move(done));
}

void HeadStart::save(const FileName& file, transport::SharedContent content, transport::StatusDone done) {
  state_->backend().save(file, std::move(content), std::move(done));
}

void HeadStart::remove(const FileName& file, transport::StatusDone done) {
  state_->backend().remove(file, std::move(done));
}

void HeadStart::create(transport::StatusDone done) { state_->backend().create(std::move(done)); }

unsigned HeadStart::parallelism() const { return state_->backend().parallelism(); }

bool HeadStart::lends_threads() const { return state_->backend().lends_threads(); }

std::string HeadStart::describe() const { return state_->backend().describe(); }

}  // namespace restic::repo
