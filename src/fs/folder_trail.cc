// SPDX-License-Identifier: MIT
#include "fs/folder_trail.h"

namespace restic::fs {
namespace {

bool is_step(std::uint32_t from, std::uint32_t to) { return to > from && to - from <= FolderTrail::kStride; }

}  // namespace

std::optional<WalkOrder> FolderTrail::opened(const WalkFolder& folder, std::uint32_t position) {
  if (last_ == position) return std::nullopt;
  if (!last_) {
    last_ = position;
    streak_ = {1, 1};
    return std::nullopt;
  }
  auto& [by_name, by_inode] = streak_;
  by_name = is_step(*last_, position) ? by_name + 1 : 1;
  if (folder.tree->size() <= kMostRanked) {
    if (ranks_.empty()) {
      const std::vector<std::uint32_t> order = walk_order(folder, WalkOrder::ByInode);
      ranks_.resize(order.size());
      for (std::uint32_t rank = 0; rank < order.size(); ++rank) ranks_[order[rank]] = rank;
    }
    by_inode = is_step(ranks_[*last_], ranks_[position]) ? by_inode + 1 : 1;
  }
  last_ = position;
  if (by_name >= kPattern) return WalkOrder::ByName;
  if (by_inode >= kPattern) return WalkOrder::ByInode;
  return std::nullopt;
}

}  // namespace restic::fs
