// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "fs/walk_order.h"

namespace restic::fs {

// Watches in which order the files of one folder are opened. Not thread-safe.
class FolderTrail {
 public:
  static constexpr unsigned kPattern = 3;       // this many opens in a row make a pattern
  static constexpr std::uint32_t kStride = 16;  // a step may skip: folders, links, files left out
  static constexpr std::size_t kMostRanked =
      1U << 16U;  // entries; in larger folders only the names' order counts

  // The order the reader keeps, once it has shown one.
  std::optional<WalkOrder> opened(const WalkFolder& folder, std::uint32_t position);

 private:
  std::optional<std::uint32_t> last_;  // position
  std::array<unsigned, 2> streak_{};   // opens in a row, by WalkOrder
  std::vector<std::uint32_t> ranks_;   // of each position, by inode; empty: not needed so far
};

}  // namespace restic::fs
