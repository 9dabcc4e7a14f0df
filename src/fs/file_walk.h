// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "fs/walk_order.h"

namespace restic::fs {

// Goes from file to file through folders and their subfolders, depth first, as a program that copies a tree
// does. Never blocks: it stops before a folder whose tree is not in memory and goes on from there when asked
// again. Not thread-safe.
class FileWalk {
 public:
  static constexpr std::size_t kMostLevels = 64;   // deeper folders are passed by
  static constexpr std::size_t kMostMissing = 64;  // trees
  // Entries of folders entered, less kWorthOfAFile for each file come to. Few folders can refer to each other
  // so often that no walk through them would ever end.
  static constexpr std::size_t kMostInVain = 1U << 18U, kWorthOfAFile = 64;

  struct File {
    FolderKey folder;
    std::uint32_t position;
    repo::Node node;  // valid until the next call
  };
  // A place in a folder: what lies behind it is still to be walked.
  struct Place {
    WalkFolder folder;
    std::uint32_t position;
  };
  using CachedTree = std::function<repo::TreePtr(const repo::Id&)>;  // null: not in memory

  // `path`: the folder to begin in comes last, the folders it lies in before it.
  FileWalk(const std::vector<Place>& path, WalkOrder order);

  // The next file. nullopt: at the end, before a tree that is not in memory, or given up after kMostInVain.
  std::optional<File> next(const CachedTree& cached);
  // The tree before which it had to stop, then those of the folders that come next to it. Empty: it did not.
  const std::vector<repo::Id>& missing() const { return missing_; }
  WalkOrder order() const { return order_; }

 private:
  struct Level {
    WalkFolder folder;
    std::vector<std::uint32_t> positions;
    std::size_t next = 0;  // in positions
  };

  static std::vector<repo::Id> trees_from(const Level& level);

  const WalkOrder order_;
  std::vector<Level> levels_;
  std::size_t in_vain_ = 0;
  std::vector<repo::Id> missing_;
};

}  // namespace restic::fs
