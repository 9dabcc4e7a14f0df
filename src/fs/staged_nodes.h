// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/unique_fd.h"
#include "fs/vfs.h"

namespace restic::fs {

// Lets changes of one tray through until the tray is sealed, so that a drop is cut at one moment: nothing
// that began before is lost, nothing gets in afterwards. Thread-safe.
class TrayGate {
 public:
  // Waits while somebody decides about the tray; false: it is sealed. Each true needs one leave().
  bool enter();
  void leave();
  // Holds new changes back and waits for those under way. Then either reopen() or seal().
  void hold();
  void reopen();
  void seal();
  bool sealed() const;

 private:
  enum class State { Open, Held, Sealed };
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::Open;
  std::uint64_t inside_ = 0;
};

// Which file a node is, however it is named.
struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const FileKey&) const = default;
};
struct FileKeyHash {
  std::size_t operator()(const FileKey& key) const noexcept {
    return std::hash<std::uint64_t>()(key.inode * 31 + key.device);
  }
};

// How a file is open. A handle without the kernel's cache saves a copy of what is written and cannot be
// mapped shared.
struct OpenMode {
  bool reads = false;
  bool writes = false;
  bool cached = true;
};

struct StagedNode;
using StagedNodePtr = std::shared_ptr<StagedNode>;
using SharedFd = std::shared_ptr<const UniqueFd>;

// A file or folder below `new/` that the kernel knows. `key` and `id` never change; the rest is StagedNodes'
// own.
struct StagedNode {
  NodeId id = 0;
  FileKey key;

 private:
  friend class StagedNodes;
  std::shared_ptr<TrayGate> gate_;
  // How to find it again when its descriptor was closed to save descriptors; no parent: it cannot be closed.
  StagedNodePtr parent_;
  std::string name_;
  SharedFd fd_;  // O_PATH; may be null
  std::uint64_t lookups_ = 0;
  std::uint64_t handles_ = 0;
  std::uint64_t cached_readers_ = 0;
  std::uint64_t uncached_writers_ = 0;
  bool written_uncached_ = false;  // since the cache was emptied
  bool writer_stays_ = false;      // an uncached one; somebody has waited in vain
  bool removed_ = false;
};

// The nodes of `new/`: id to file and back. Keeps at most about `fd_budget` descriptors open for nodes that
// nobody has open, so the number of files is not bounded by the process's limit. Thread-safe; its lock is
// never held over I/O.
class StagedNodes {
 public:
  explicit StagedNodes(std::size_t fd_budget) : fd_budget_(fd_budget) {}
  StagedNodes(const StagedNodes&) = delete;
  StagedNodes& operator=(const StagedNodes&) = delete;

  // A node that is in no table and never forgotten: the top folder of a tray. It has no id of its own.
  static StagedNodePtr make_top(UniqueFd folder, const struct stat& status);

  // The node of the file `name` in `parent`, whose status was just read; counts one lookup.
  StagedNodePtr remember(const StagedNodePtr& parent, std::string_view name, const struct stat& status);
  StagedNodePtr find(NodeId id) const;  // null: unknown
  StagedNodePtr find(const FileKey& key) const;
  void forget(NodeId id, std::uint64_t lookups);

  // Its O_PATH descriptor. Null with errno set: ESTALE when the file is not where it was.
  SharedFd fd(const StagedNodePtr& node);
  std::shared_ptr<TrayGate> gate(const StagedNodePtr& node) const;

  // The name is about to go away: makes sure the node, if there is one, does not depend on it.
  void name_goes(const StagedNodePtr& parent, std::string_view name, const FileKey& key);
  // The file now has this name.
  void name_is(const StagedNodePtr& parent, std::string_view name, const FileKey& key);
  // Its last name went away. Only who has it open keeps it, and its space, from now on.
  void removed(const FileKey& key);
  // The file was opened. Writes past the kernel's cache do not reach who reads from it, so `wished` has its
  // way for who only writes, and only while nobody reads from the cache; who reads is cached unless somebody
  // writes past it. Whoever was opened is closed() with the mode that this returns; `was_used`: the kernel
  // had it.
  OpenMode opened(const StagedNodePtr& node, OpenMode wished);
  void closed(const StagedNodePtr& node, OpenMode mode, bool was_used = true);
  // Whether what the kernel has cached of the file may be older than what is in it.
  bool written_uncached(const StagedNodePtr& node) const;
  // Waits until nobody writes past the cache: the kernel tells of a close only after the program has gone on.
  // A moment at most, not again for a writer that outlasted it, and not while some others wait.
  void await_uncached_writers(const StagedNodePtr& node, const std::function<void()>& about_to_wait);
  // The file is about to get another place: makes sure the node does not depend on its name.
  void pin(const StagedNodePtr& node);
  // The file, pinned before, was taken over into another tray.
  void change_tray(const StagedNodePtr& node, const StagedNodePtr& top);

  std::size_t size() const;

 private:
  void keep_fd(const StagedNodePtr& node, SharedFd fd);
  static SharedFd let_go(StagedNode& node);

  const std::size_t fd_budget_;
  mutable std::mutex mutex_;
  std::condition_variable closed_;  // the last uncached writer of a file
  std::size_t await_close_ = 0;     // threads
  NodeId last_id_ = 0;
  std::unordered_map<NodeId, StagedNodePtr> by_id_;
  std::unordered_map<FileKey, StagedNodePtr, FileKeyHash> by_key_;
  std::deque<std::weak_ptr<StagedNode>> with_fd_;  // in the order their descriptors were opened
};

}  // namespace restic::fs
