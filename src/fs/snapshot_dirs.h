// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/vfs.h"
#include "repo/snapshot.h"

namespace restic::fs {

// One name above the snapshots: a folder, the `latest` link, or a snapshot.
struct MetaNode {
  enum class Kind { Folder, Link, Snapshot };
  Kind kind = Kind::Folder;
  std::string target;       // Link
  repo::Id snapshot, tree;  // Snapshot
  repo::Timestamp time;     // of the snapshot; of a folder, its newest snapshot's
  std::map<std::string, MetaNode, std::less<>> children;  // Folder
};

// The folders of snapshots as `restic mount` lays them out (FORMAT: restic mount): one place for each path
// template; equal names get -1, -2 … in (time, id) order; where a template ends in %T, `latest` links to the
// newest. Immutable and shared; a new list of snapshots makes a new one.
class SnapshotDirs {
 public:
  // `snapshots` ascend by (time, id). Only those that the options select are shown.
  SnapshotDirs(std::span<const repo::Snapshot> snapshots, const VfsOptions& options);

  const MetaNode& root() const { return root_; }
  // Null: not there.
  const MetaNode* find(std::span<const std::string> names) const;

 private:
  MetaNode root_;
};
using SnapshotDirsPtr = std::shared_ptr<const SnapshotDirs>;

// Whether a snapshot passes host=, tag= and path= (any host; any list of tags, all of a list; all paths).
bool is_selected(const repo::Snapshot& snapshot, const VfsOptions& options);

}  // namespace restic::fs
