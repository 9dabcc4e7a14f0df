// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "repo/tree.h"

namespace restic::fs {

// The orders in which programs go through a folder: as it is listed, or, as cp does, by inode number.
enum class WalkOrder : std::uint8_t { ByName, ByInode };

// A folder as a walk sees it.
struct WalkFolder {
  repo::TreePtr tree;
  std::uint64_t inode = 0;           // its own,
  std::uint64_t snapshot_inode = 0;  // and that of its snapshot's root: its entries' numbers follow from them
};

// The positions of the folder's entries in that order.
std::vector<std::uint32_t> walk_order(const WalkFolder& folder, WalkOrder order);

}  // namespace restic::fs
