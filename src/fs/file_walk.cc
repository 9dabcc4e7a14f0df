// SPDX-License-Identifier: MIT
#include "fs/file_walk.h"

#include <algorithm>
#include <utility>

#include "fs/inode_number.h"

namespace restic::fs {
namespace {

bool is_known_folder(const repo::Node& node) { return node.subtree && !node.subtree->is_zero(); }

}  // namespace

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
  missing_.clear();
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.positions.size()) {
      levels_.pop_back();
      continue;
    }
    const std::uint32_t position = level.positions[level.next];
    const repo::Node node = level.folder.tree->node(position);
    if (is_known_folder(node) && levels_.size() < kMostLevels) {
      repo::TreePtr tree = cached(*node.subtree);
      if (!tree) {
        missing_ = trees_from(level);
        return std::nullopt;
      }
      in_vain_ += tree->size() + 1;
      if (in_vain_ > kMostInVain) {
        levels_.clear();
        return std::nullopt;
      }
      ++level.next;
      WalkFolder folder{std::move(tree),
                        {child_inode(level.folder.key.inode, node.name), *node.subtree},
                        level.folder.snapshot_inode};
      std::vector<std::uint32_t> positions = walk_order(folder, order_);
      levels_.push_back({std::move(folder), std::move(positions), 0});
      continue;
    }
    ++level.next;
    if (node.type == repo::NodeType::File) {
      in_vain_ -= std::min(in_vain_, kWorthOfAFile);
      return File{level.folder.key, position, node};
    }
  }
  return std::nullopt;
}

std::vector<repo::Id> FileWalk::trees_from(const Level& level) {
  std::vector<repo::Id> trees;
  for (std::size_t at = level.next; at < level.positions.size() && trees.size() < kMostMissing; ++at) {
    const repo::Node node = level.folder.tree->node(level.positions[at]);
    if (is_known_folder(node)) trees.push_back(*node.subtree);
  }
  return trees;
}

}  // namespace restic::fs
