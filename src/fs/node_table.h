// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/vfs.h"
#include "repo/id.h"
#include "repo/tree.h"

namespace restic::fs {

enum class NodeKind : std::uint8_t {
  Meta,      // a folder of snapshots, a `latest` link or a text file; `place` is its MetaNames number
  Snapshot,  // the root folder of a snapshot; `place` as for Meta
  Dir,       // in a snapshot; `place` is the position in the parent's tree
  Leaf,      // in a snapshot, anything that is no folder
};

// What a folder inside a snapshot, or a snapshot, is: all that is needed to fetch its tree again at any time.
struct DirRef {
  repo::Id tree;  // zero: recorded without one
  std::uint64_t snapshot_inode = 0;
  repo::Timestamp snapshot_time;
};

struct NodeRef {
  NodeKind kind = NodeKind::Meta;
  NodeId parent = 0;
  std::uint32_t place = 0;
  std::uint64_t inode = 0;
  DirRef dir;  // of a Snapshot or Dir
};

// The nodes the kernel holds, and their parents. One node for each (parent, place), however often it is
// looked up; a node goes when the kernel has forgotten it and no child needs it, and its number is used
// again. About 45 bytes a node, 80 more for a folder. Thread-safe; never blocks for long.
class NodeTable {
 public:
  NodeTable();

  // The node of (ref.parent, ref.place), made if there is none, with one more lookup counted. The parent is
  // held by the caller (it is a node in use).
  NodeId acquire(const NodeRef& ref);
  // Takes lookups back; more than there were are taken as all.
  void forget(NodeId node, std::uint64_t lookups);
  // nullopt: no such node.
  std::optional<NodeRef> get(NodeId node) const;
  // The node of (parent, place) if the kernel holds it.
  std::optional<NodeId> find(NodeId parent, std::uint32_t place) const;
  std::size_t size() const;

 private:
  static constexpr std::uint32_t kNone = 0;
  struct Record {
    std::uint64_t inode = 0;
    std::uint64_t uses = 0;  // lookups and children
    std::uint32_t parent = kNone;
    std::uint32_t place = 0;
    std::uint32_t dir = 0;  // in dirs_
    NodeKind kind = NodeKind::Meta;
    bool in_use = false;
  };

  std::size_t slot_of(std::uint32_t parent,
                      std::uint32_t place) const;  // where it is, or the free slot it would take
  void grow();
  void erase_slot(std::size_t slot);
  bool valid(NodeId node) const;

  mutable std::mutex mutex_;
  std::deque<Record> records_;       // by node id; 0 is unused
  std::vector<std::uint32_t> free_;  // records to use again
  std::deque<DirRef> dirs_;
  std::vector<std::uint32_t> free_dirs_;
  std::vector<std::uint32_t> slots_;  // open addressing, linear probing; kNone: free
  std::size_t used_ = 0;
};

}  // namespace restic::fs
