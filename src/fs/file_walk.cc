// SPDX-License-Identifier: MIT
#include "fs/file_walk.h"

#include <algorithm>
#include <utility>

#include "fs/inode_number.h"

namespace restic::fs {

FileWalk::FileWalk(const std::vector<Place>& path, WalkOrder order) : order_(order) {
  for (const Place& place : path) {
    Level level{place.folder, walk_order(place.folder, order), 0};
    const auto here = std::find(level.positions.begin(), level.positions.end(), place.position);
    if (here != level.positions.end())
      level.next = static_cast<std::size_t>(here - level.positions.begin()) + 1;
    levels_.push_back(std::move(level));
  }
}

std::optional<FileWalk::File> FileWalk::next(const CachedTree& cached) {
  missing_.reset();
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.positions.size()) {
      levels_.pop_back();
      continue;
    }
    const std::uint32_t position = level.positions[level.next];
    const repo::Node node = level.folder.tree->node(position);
    if (node.subtree && !node.subtree->is_zero() && levels_.size() < kMostLevels) {
      repo::TreePtr tree = cached(*node.subtree);
      if (!tree) {
        missing_ = *node.subtree;
        return std::nullopt;
      }
      ++level.next;
      WalkFolder folder{std::move(tree), child_inode(level.folder.inode, node.name),
                        level.folder.snapshot_inode};
      std::vector<std::uint32_t> positions = walk_order(folder, order_);
      levels_.push_back({std::move(folder), std::move(positions), 0});
      continue;
    }
    ++level.next;
    if (node.type == repo::NodeType::File) return File{level.folder.inode, position, node};
  }
  return std::nullopt;
}

}  // namespace restic::fs
