// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "fs/attributes.h"
#include "fs/handles.h"
#include "fs/neighbourhood.h"
#include "fs/node_table.h"
#include "fs/vfs.h"
#include "repo/repository.h"

namespace restic::fs {

// What lies inside the snapshots: nodes of kind Snapshot (as folders), Dir and Leaf, found by their tree's id
// and their position in it, so that no decoded tree need be kept for them. Immutable content, so every answer
// is for ever. Thread-safe; blocks on the network where a tree is not in memory, and holds no lock then.
// Fails as Vfs does.
class SnapshotContent {
 public:
  // All must outlive it; `stopping` makes every further fetch fail with Cancelled.
  SnapshotContent(repo::Repository& repository, NodeTable& nodes, const Ownership& ownership, Log& log,
                  const std::atomic<bool>& stopping);

  std::optional<Entry> lookup(NodeId parent, const NodeRef& parent_ref, std::string_view name);
  std::optional<Entry> attributes(NodeId node, const NodeRef& ref);
  std::optional<std::string> read_link(const NodeRef& ref);
  std::shared_ptr<OpenDir> open_dir(NodeId node, const NodeRef& ref);
  std::shared_ptr<OpenFile> open_file(const NodeRef& ref);
  std::vector<std::string> xattr_names(const NodeRef& ref);
  std::optional<std::string> xattr(const NodeRef& ref, std::string_view name);

 private:
  class TreeDir;
  // An entry, and the tree that it is a view into.
  struct Located {
    repo::TreePtr tree;
    repo::Node node;
  };

  repo::TreePtr tree(const repo::Id& id);
  void catch_up_with_index();
  std::optional<Located> locate(const NodeRef& ref);
  Entry entry_of(NodeId parent, const NodeRef& parent_ref, const repo::Node& node, std::size_t position,
                 bool may_fetch);
  void fill(const repo::Node& node, std::uint64_t inode, bool may_fetch, Entry& entry);
  void ask_subtrees_ahead(const repo::Tree& tree);

  repo::Repository& repository_;
  NodeTable& nodes_;
  const Ownership ownership_;
  Log& log_;
  const std::atomic<bool>& stopping_;
  Neighbourhood neighbourhood_;
  std::mutex index_mutex_;
  std::condition_variable index_read_;
  bool reads_index_ = false;
  std::uint64_t index_reads_ = 0;  // ended
  std::optional<std::chrono::steady_clock::time_point> index_read_again_;
};

}  // namespace restic::fs
