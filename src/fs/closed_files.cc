// SPDX-License-Identifier: MIT
#include "fs/closed_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <utility>

namespace restic::fs {

ClosedFiles::ClosedFiles(StagedNodes& nodes, SnapshotMaker& maker, std::chrono::milliseconds quiet)
    : nodes_(nodes), maker_(maker), quiet_(quiet), thread_([this] { run(); }) {}

ClosedFiles::~ClosedFiles() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ClosedFiles::touch(const StagedNodePtr& node, unsigned new_writers) {
  {
    const std::lock_guard lock(mutex_);
    Touched& file = files_[node];
    file.writers += new_writers;
    writers_ += new_writers;
    ++file.changes;
    file.waiting = false;
  }
  // Also for a file that was never handed over: its inode number may be that of one that was.
  maker_.content_changed(node->key.device, node->key.inode);
}

void ClosedFiles::opened_for_writing(const StagedNodePtr& node) { touch(node, 1); }

void ClosedFiles::changing(const StagedNodePtr& node) {
  touch(node, 1);
  closed_after_writing(node);
}

void ClosedFiles::closed_after_writing(const StagedNodePtr& node) {
  // What was handed over before may have been read only while this writer was at it. Before the file counts
  // as closed, for from then on it may be committed.
  maker_.content_changed(node->key.device, node->key.inode);
  {
    const std::lock_guard lock(mutex_);
    Touched& file = files_[node];
    --file.writers;
    --writers_;
    if (file.writers > 0) return;
    file.waiting = true;
    file.due = std::chrono::steady_clock::now() + quiet_;
    waiting_.push_back({node, file.due});
  }
  changed_.notify_all();
}

bool ClosedFiles::any_writer() const {
  const std::lock_guard lock(mutex_);
  return writers_ > 0;
}

void ClosedFiles::await_writers(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [this] { return writers_ == 0 || ending_; });
}

std::vector<StagedNodePtr> ClosedFiles::writers() const {
  std::vector<StagedNodePtr> open;
  const std::lock_guard lock(mutex_);
  if (writers_ == 0) return open;
  for (const auto& [node, file] : files_) {
    if (file.writers > 0) open.push_back(node);
  }
  return open;
}

void ClosedFiles::end_writers() {
  const std::vector<StagedNodePtr> open = writers();
  for (const StagedNodePtr& node : open) maker_.content_changed(node->key.device, node->key.inode);
  const std::lock_guard lock(mutex_);
  writers_ = 0;
  for (auto& [node, file] : files_) file.writers = 0;
}

void ClosedFiles::drop_waiting() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  std::erase_if(files_, [](const auto& entry) { return entry.second.writers == 0; });
}

void ClosedFiles::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (waiting_.empty()) {
      changed_.wait(lock);
      continue;
    }
    if (std::chrono::steady_clock::now() < waiting_.front().due) {
      changed_.wait_until(lock, waiting_.front().due);
      continue;
    }
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const auto found = files_.find(next.node);
    // Touched again since: a later entry stands for it, or will when it is closed.
    if (found == files_.end() || !found->second.waiting || found->second.due != next.due) continue;
    lock.unlock();
    hand_over(next.node);
    lock.lock();
  }
}

void ClosedFiles::hand_over(const StagedNodePtr& node) {
  std::uint64_t changes = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(node);
    if (found == files_.end() || !found->second.waiting) return;
    found->second.waiting = false;
    changes = found->second.changes;
  }
  if (const SharedFd fd = nodes_.fd(node)) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
    UniqueFd content(::open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
    if (!content) content = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (content && ::fstat(content.get(), &status) == 0 && status.st_nlink > 0 && status.st_size > 0) {
      maker_.store_ahead(std::move(content));
    }
  }
  bool touched = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(node);
    touched = found != files_.end() && found->second.changes != changes;
    if (found != files_.end() && !touched) files_.erase(found);
  }
  // Opened between the look above and the handing over: the opener's notice may have come too early to count.
  if (touched) maker_.content_changed(node->key.device, node->key.inode);
}

}  // namespace restic::fs
