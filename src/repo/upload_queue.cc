// SPDX-License-Identifier: MIT
#include "repo/upload_queue.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace restic::repo {

UploadQueue::UploadQueue(transport::Backend& backend, MayWrite may_write, Log& log)
    : backend_(backend),
      may_write_(std::move(may_write)),
      log_(log),
      at_once_(std::max(1U, backend.parallelism())) {}

UploadQueue::~UploadQueue() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return running_ == 0 && waiting_.empty(); });
}

void UploadQueue::save(transport::FileName file, transport::SharedContent content,
                       transport::StatusDone done) {
  Job job{std::move(file), std::move(content), std::move(done)};
  {
    const std::lock_guard lock(mutex_);
    if (running_ == at_once_) {
      waiting_.push_back(std::move(job));
      return;
    }
    ++running_;
  }
  start(std::move(job));
}

std::size_t UploadQueue::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::vector<transport::FileName> UploadQueue::take_strays() {
  const std::lock_guard lock(mutex_);
  return std::exchange(strays_, {});
}

// Once the save is on its way nothing here is touched any more: it may be the last, and somebody waits to
// destroy us.
void UploadQueue::start(Job job) {
  const auto ended = [this, done = std::move(job.done)](const Status& status) {
    done(status);
    Job next;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) {
        if (--running_ == 0) idle_.notify_all();
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    start(std::move(next));
  };
  const Status allowed = may_write_();
  if (!allowed.ok()) return ended(allowed);
  if (job.file.type != transport::FileType::Index) {
    return backend_.save(job.file, std::move(job.content), ended);
  }
  backend_.save(job.file, std::move(job.content), [this, file = job.file, ended](const Status& status) {
    const Status still_allowed = may_write_();
    if (!still_allowed.ok()) return take_back(file, still_allowed.error(), ended);
    if (!status.ok()) return take_back(file, status.error(), ended);
    ended(status);
  });
}

// Also when the save is said to have failed: its answer may be what was lost, or half of it may be there, and
// restic does nothing with an index that it cannot read.
void UploadQueue::take_back(const transport::FileName& file, const Error& reason,
                            const transport::StatusDone& ended) {
  backend_.remove(file, [this, file, reason, ended](const Status& status) {
    if (status.ok()) {
      log_.warning(file.path() + " is removed again: " + reason.what());
    } else if (status.error().code() != Errc::NotFound) {
      log_.error(
          file.path() +
          " may be there, in part or too late, and cannot be removed; if restic complains of it, repair "
          "the index: " +
          status.error().what());
      const std::lock_guard lock(mutex_);
      strays_.push_back(file);
    }
    ended(reason);
  });
}

}  // namespace restic::repo
