// SPDX-License-Identifier: MIT
#include "fs/walk_order.h"

#include <algorithm>
#include <numeric>

#include "fs/inode_number.h"

namespace restic::fs {

std::vector<std::uint32_t> walk_order(const WalkFolder& folder, WalkOrder order) {
  std::vector<std::uint32_t> positions(folder.tree->size());
  std::iota(positions.begin(), positions.end(), 0U);
  if (order == WalkOrder::ByName) return positions;
  std::vector<std::uint64_t> inodes(positions.size());
  for (const std::uint32_t at : positions) {
    inodes[at] = entry_inode(folder.key.inode, folder.snapshot_inode, folder.tree->node(at));
  }
  std::sort(positions.begin(), positions.end(),
            [&](std::uint32_t a, std::uint32_t b) { return inodes[a] < inodes[b]; });
  return positions;
}

}  // namespace restic::fs
