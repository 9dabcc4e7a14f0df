// SPDX-License-Identifier: MIT
#include "fs/closed_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>

namespace restic::fs {
namespace {

// A file that grows is handed over in stretches of this size, of a sixteenth of what is there when that is
// more: each costs a look at what is known of it, and a chunk that is begun is read again.
constexpr std::uint64_t kStretch = 32U << 20U;
constexpr std::uint64_t kStretchDivisor = 16;
// Nobody else has the thread that stores a stretch until it is done.
constexpr std::uint64_t kMostStretch = 256U << 20U;

}  // namespace

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

void ClosedFiles::touch(const StagedNodePtr& node, unsigned new_writers, int sequential_fd) {
  {
    const std::lock_guard lock(mutex_);
    Touched& file = files_[node];
    file.writers += new_writers;
    writers_ += new_writers;
    ++file.changes;
    file.waiting = false;
    // Looked at here, where every write before has been told of or makes the file not empty.
    struct stat status {};
    file.grows = sequential_fd >= 0 && ::fstat(sequential_fd, &status) == 0 && status.st_size == 0;
    file.size = file.handed_over = 0;
  }
  // Also for a file that was never handed over: its inode number may be that of one that was.
  maker_.content_changed(node->key.device, node->key.inode);
}

void ClosedFiles::opened_for_writing(const StagedNodePtr& node, int sequential_fd) {
  touch(node, 1, sequential_fd);
}

void ClosedFiles::written(const StagedNodePtr& node, std::uint64_t offset, std::uint64_t bytes) {
  bool stretch = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(node);
    const bool at_end = found != files_.end() && found->second.grows && offset == found->second.size;
    if (at_end) {
      Touched& file = found->second;
      file.size += bytes;
      stretch =
          file.size - file.handed_over >= std::clamp(file.size / kStretchDivisor, kStretch, kMostStretch);
      if (stretch) {
        file.handed_over = file.size;
        beginnings_.push_back({node, file.size, file.changes});
      }
    } else if (found != files_.end() && !found->second.grows) {
      return;  // closing it will say so
    }
    if (at_end && !stretch) return;
  }
  if (stretch) {
    changed_.notify_all();
  } else {
    changed(node);
  }
}

void ClosedFiles::changed(const StagedNodePtr& node) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = files_.find(node); found != files_.end()) found->second.grows = false;
  }
  maker_.content_changed(node->key.device, node->key.inode);
}

void ClosedFiles::closed_after_writing(const StagedNodePtr& node) {
  bool grew = false;
  {
    const std::lock_guard lock(mutex_);
    grew = files_[node].grows;
  }
  // What was handed over before may have been read only while this writer was at it, unless nothing of it has
  // changed. Before the file counts as closed, for from then on it may be committed.
  if (!grew) maker_.content_changed(node->key.device, node->key.inode);
  {
    const std::lock_guard lock(mutex_);
    Touched& file = files_[node];
    --file.writers;
    --writers_;
    if (file.writers > 0) return;
    file.waiting = true;
    file.due = std::chrono::steady_clock::now() + quiet_;
    waiting_.push_back({node, file.due});
    // Of a large file the last stretch need not wait for that.
    if (file.grows && file.handed_over != 0 && file.handed_over != file.size) {
      file.handed_over = file.size;
      beginnings_.push_back({node, file.size, file.changes});
    }
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
  beginnings_.clear();
  std::erase_if(files_, [](const auto& entry) { return entry.second.writers == 0; });
}

void ClosedFiles::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!beginnings_.empty()) {
      const Beginning next = std::move(beginnings_.front());
      beginnings_.pop_front();
      lock.unlock();
      hand_over(next);
      lock.lock();
      continue;
    }
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
  if (UniqueFd content = open_to_read(node)) maker_.store_ahead(std::move(content));
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

void ClosedFiles::hand_over(const Beginning& beginning) {
  if (!still_grows(beginning)) return;
  if (UniqueFd content = open_to_read(beginning.node)) {
    maker_.store_beginning(std::move(content), beginning.bytes);
  }
  // The notice of a change in between may have come too early to count.
  if (!still_grows(beginning)) maker_.content_changed(beginning.node->key.device, beginning.node->key.inode);
}

bool ClosedFiles::still_grows(const Beginning& beginning) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(beginning.node);
  return found != files_.end() && found->second.grows && found->second.changes == beginning.changes;
}

// None: it has no name any more, or no content.
UniqueFd ClosedFiles::open_to_read(const StagedNodePtr& node) {
  const SharedFd fd = nodes_.fd(node);
  if (!fd) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
  UniqueFd content(::open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
  if (!content) content = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!content || ::fstat(content.get(), &status) != 0) return {};
  return status.st_nlink > 0 && status.st_size > 0 ? std::move(content) : UniqueFd();
}

}  // namespace restic::fs
