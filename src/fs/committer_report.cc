// SPDX-License-Identifier: MIT
// What a Committer tells others of its drops.
#include <unistd.h>

#include <cstdio>

#include "fs/committer.h"

namespace restic::fs {
namespace {

std::chrono::milliseconds milliseconds(Clock::Instant time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time);
}

}  // namespace

DropStatus Committer::describe(const Drop& drop) const {
  DropStatus status;
  status.tray = drop.name;
  status.state = drop.state;
  status.files_done = drop.progress.files_done;
  status.files_total = drop.progress.files_total;
  status.bytes_done = drop.progress.bytes_done;
  status.bytes_total = drop.progress.bytes_total;
  status.bytes_uploaded = drop.progress.bytes_uploaded;
  status.files_changed_while_read = drop.progress.files_changed_while_read;
  status.files_unreadable = drop.progress.files_unreadable;
  status.error = drop.error;
  status.snapshot = drop.snapshot;
  const Clock::Instant now = clock_.now();
  if (drop.state == State::Working) status.working_for = milliseconds(now - drop.began);
  if (drop.state == State::Durable) status.working_for = milliseconds(drop.ended - drop.began);
  if (drop.state == State::Failed && drop.due > now) status.next_try_in = milliseconds(drop.due - now);
  return status;
}

std::vector<DropStatus> Committer::drops() const {
  std::vector<DropStatus> all;
  const std::lock_guard cutting(cutting_);
  const std::lock_guard lock(mutex_);
  for (const DropPtr& drop : pending_) all.push_back(describe(*drop));
  for (const DropPtr& drop : durable_) all.push_back(describe(*drop));
  return all;
}

CommitProgress Committer::progress() const {
  CommitProgress progress;
  progress.pid = ::getpid();
  const std::lock_guard cutting(cutting_);
  try {
    progress.staged = staging_.empty() ? 0 : 1;
  } catch (const Error&) {
    progress.staged = 1;  // nobody should believe that all is well
  }
  const std::lock_guard lock(mutex_);
  for (const DropPtr& drop : pending_) {
    ++progress.drops;
    if (drop->state == State::Failed) ++progress.failed;
    progress.files_done += drop->progress.files_done;
    progress.files_total += drop->progress.files_total;
    progress.bytes_done += drop->progress.bytes_done;
    progress.bytes_total += drop->progress.bytes_total;
    progress.bytes_uploaded += drop->progress.bytes_uploaded;
    if (!drop->error.empty()) {
      std::snprintf(progress.error, sizeof progress.error, "%s", drop->error.c_str());
    }
  }
  return progress;
}

}  // namespace restic::fs
