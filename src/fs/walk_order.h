// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "repo/tree.h"

namespace restic::fs {

// The orders in which programs go through a folder: as it is listed, or, as cp does, by inode number.
enum class WalkOrder : std::uint8_t { ByName, ByInode };

// Tells folders apart. The inode number alone does not: it is a hash of names that a repository chooses, and
// positions in one tree must never be used in another.
struct FolderKey {
  std::uint64_t inode = 0;
  repo::Id tree;
  bool operator==(const FolderKey&) const = default;
};

// A folder as a walk sees it.
struct WalkFolder {
  repo::TreePtr tree;
  FolderKey key;
  // Of its snapshot's root. The numbers of the folder's entries follow from it and from the folder's own.
  std::uint64_t snapshot_inode = 0;
};

// The positions of the folder's entries in that order.
std::vector<std::uint32_t> walk_order(const WalkFolder& folder, WalkOrder order);

}  // namespace restic::fs
