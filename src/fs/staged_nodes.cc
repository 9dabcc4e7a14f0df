// SPDX-License-Identifier: MIT
#include "fs/staged_nodes.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "fs/branch.h"

namespace restic::fs {
namespace {

constexpr std::chrono::milliseconds kCloseIsTold{100};
constexpr std::size_t kMostAwait = 4;  // of the threads that serve all requests

}  // namespace

bool TrayGate::enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::Held; });
  if (state_ == State::Sealed) return false;
  ++inside_;
  return true;
}

void TrayGate::leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) changed_.notify_all();
}

void TrayGate::hold() {
  std::unique_lock lock(mutex_);
  state_ = State::Held;
  changed_.wait(lock, [this] { return inside_ == 0; });
}

void TrayGate::reopen() {
  const std::lock_guard lock(mutex_);
  state_ = State::Open;
  changed_.notify_all();
}

void TrayGate::seal() {
  const std::lock_guard lock(mutex_);
  state_ = State::Sealed;
  changed_.notify_all();
}

bool TrayGate::sealed() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::Sealed;
}

StagedNodePtr StagedNodes::make_top(UniqueFd folder, const struct stat& status) {
  auto node = std::make_shared<StagedNode>();
  node->key = {status.st_dev, status.st_ino};
  node->gate_ = std::make_shared<TrayGate>();
  node->fd_ = std::make_shared<const UniqueFd>(std::move(folder));
  return node;
}

StagedNodePtr StagedNodes::remember(const StagedNodePtr& parent, std::string_view name,
                                    const struct stat& status) {
  const FileKey key{status.st_dev, status.st_ino};
  SharedFd last;  // closed after the lock is given back
  const std::lock_guard lock(mutex_);
  StagedNodePtr& node = by_key_[key];
  // The kernel may still know a file of a drop that is gone, whose inode number has been given to this one.
  if (node && node->gate_ != parent->gate_ && node->gate_->sealed()) {
    last = let_go(*node);
    node = nullptr;
  }
  if (!node) {
    node = std::make_shared<StagedNode>();
    node->id = kBranchBit | ++last_id_;
    node->key = key;
    node->gate_ = parent->gate_;
    by_id_.emplace(node->id, node);
  }
  // A file without a name of its own keeps its descriptor: it may have been unlinked once and found by a
  // second link.
  if (!node->parent_ && !node->fd_) {
    node->parent_ = parent;
    node->name_ = name;
  }
  ++node->lookups_;
  return node;
}

StagedNodePtr StagedNodes::find(NodeId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

StagedNodePtr StagedNodes::find(const FileKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

void StagedNodes::forget(NodeId id, std::uint64_t lookups) {
  StagedNodePtr last;  // its descriptor is closed after the lock is given back
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  StagedNode& node = *found->second;
  node.lookups_ -= std::min(lookups, node.lookups_);
  if (node.lookups_ > 0) return;
  last = found->second;
  if (!node.removed_) by_key_.erase(node.key);
  by_id_.erase(found);
}

SharedFd StagedNodes::fd(const StagedNodePtr& node) {
  // From the node up to the first folder whose descriptor is open, then down again.
  std::vector<std::pair<StagedNodePtr, std::string>> closed;
  SharedFd fd;
  {
    const std::lock_guard lock(mutex_);
    for (StagedNodePtr at = node; at; at = at->parent_) {
      if (at->fd_) {
        fd = at->fd_;
        break;
      }
      closed.emplace_back(at, at->name_);
    }
  }
  if (!fd) {
    errno = ESTALE;
    return nullptr;
  }
  for (auto step = closed.rbegin(); step != closed.rend(); ++step) {
    UniqueFd next(::openat(fd->get(), step->second.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!next || ::fstat(next.get(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) errno = ESTALE;
      return nullptr;
    }
    if (step->first->key != FileKey{status.st_dev, status.st_ino}) {
      errno = ESTALE;
      return nullptr;
    }
    fd = std::make_shared<const UniqueFd>(std::move(next));
    keep_fd(step->first, fd);
  }
  return fd;
}

void StagedNodes::keep_fd(const StagedNodePtr& node, SharedFd fd) {
  std::vector<SharedFd> closing;  // closed after the lock is given back
  const std::lock_guard lock(mutex_);
  if (node->fd_) return;
  node->fd_ = std::move(fd);
  with_fd_.push_back(node);
  for (std::size_t looked = 0; with_fd_.size() > fd_budget_ && looked < 16; ++looked) {
    const std::weak_ptr<StagedNode> oldest = std::move(with_fd_.front());
    with_fd_.pop_front();
    const StagedNodePtr candidate = oldest.lock();
    if (!candidate) continue;
    if (candidate->parent_ && candidate != node) {
      closing.push_back(std::exchange(candidate->fd_, nullptr));
    } else {
      with_fd_.push_back(oldest);
    }
  }
}

std::shared_ptr<TrayGate> StagedNodes::gate(const StagedNodePtr& node) const {
  const std::lock_guard lock(mutex_);
  return node->gate_;
}

void StagedNodes::name_goes(const StagedNodePtr& parent, std::string_view name, const FileKey& key) {
  const StagedNodePtr node = find(key);
  if (!node) return;
  {
    const std::lock_guard lock(mutex_);
    if (node->parent_ != parent || node->name_ != name) return;
  }
  const SharedFd pinned = fd(node);
  const std::lock_guard lock(mutex_);
  if (!node->fd_) node->fd_ = pinned;
  if (node->parent_ == parent && node->name_ == name) {
    node->parent_ = nullptr;
    node->name_.clear();
  }
}

void StagedNodes::name_is(const StagedNodePtr& parent, std::string_view name, const FileKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  found->second->parent_ = parent;
  found->second->name_ = name;
}

void StagedNodes::removed(const FileKey& key) {
  SharedFd last;  // closed after the lock is given back
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  last = let_go(*found->second);
  by_key_.erase(found);  // its inode number may be given to another file
}

// With mutex_ held. It is out of by_key_ from now on; its descriptor is to be closed without the lock.
SharedFd StagedNodes::let_go(StagedNode& node) {
  node.removed_ = true;
  return node.handles_ == 0 ? std::move(node.fd_) : nullptr;
}

OpenMode StagedNodes::opened(const StagedNodePtr& node, OpenMode wished) {
  const std::lock_guard lock(mutex_);
  OpenMode mode = wished;
  mode.cached = mode.reads ? node->uncached_writers_ == 0 : wished.cached || node->cached_readers_ > 0;
  ++node->handles_;
  if (mode.cached && mode.reads) ++node->cached_readers_;
  if (!mode.cached && mode.writes) {
    if (node->uncached_writers_++ == 0) node->writer_stays_ = false;
    node->written_uncached_ = true;
  }
  return mode;
}

void StagedNodes::closed(const StagedNodePtr& node, OpenMode mode, bool was_used) {
  SharedFd last;
  const std::lock_guard lock(mutex_);
  // Opening this reader has emptied the cache, and nobody wrote past it since.
  if (mode.cached && mode.reads && --node->cached_readers_ == 0 && was_used) node->written_uncached_ = false;
  if (!mode.cached && mode.writes && --node->uncached_writers_ == 0) closed_.notify_all();
  if (--node->handles_ == 0 && node->removed_) last = std::move(node->fd_);
}

bool StagedNodes::written_uncached(const StagedNodePtr& node) const {
  const std::lock_guard lock(mutex_);
  return node->written_uncached_;
}

void StagedNodes::await_uncached_writers(const StagedNodePtr& node,
                                         const std::function<void()>& about_to_wait) {
  {
    const std::lock_guard lock(mutex_);
    if (node->uncached_writers_ == 0 || node->writer_stays_ || await_close_ == kMostAwait) return;
    ++await_close_;
  }
  about_to_wait();
  std::unique_lock lock(mutex_);
  const bool closed = closed_.wait_for(lock, kCloseIsTold, [&] { return node->uncached_writers_ == 0; });
  if (!closed) node->writer_stays_ = true;
  --await_close_;
}

void StagedNodes::pin(const StagedNodePtr& node) {
  const SharedFd pinned = fd(node);
  const std::lock_guard lock(mutex_);
  if (!node->fd_) node->fd_ = pinned;
  node->parent_ = nullptr;
  node->name_.clear();
}

void StagedNodes::change_tray(const StagedNodePtr& node, const StagedNodePtr& top) {
  const std::lock_guard lock(mutex_);
  node->gate_ = top->gate_;
}

std::size_t StagedNodes::size() const {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

}  // namespace restic::fs
