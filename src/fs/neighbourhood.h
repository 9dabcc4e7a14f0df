// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

#include "fs/vfs.h"
#include "repo/blob_reader.h"
#include "repo/tree.h"

namespace restic::fs {

// Notices readers that go from file to file through a folder, and fetches the next files before they are
// opened. A reader that does not pays a comparison an open. Thread-safe; never blocks on the network.
class Neighbourhood {
 public:
  explicit Neighbourhood(repo::BlobReader& blobs) : blobs_(blobs) {}

  // The file at `position` of a folder is being opened.
  void opened(NodeId folder, const repo::Tree& tree, std::size_t position);

 private:
  struct Trail {
    NodeId folder = 0;
    std::size_t last = 0;       // position opened last
    unsigned streak = 0;        // opens in a row, forwards
    std::size_t asked = 0;      // positions before it were asked for
    std::uint64_t waiting = 0;  // bytes asked for that are still ahead of `last`
    std::uint64_t used = 0;     // when it was touched, for reuse
  };
  Trail& trail_of(NodeId folder);

  repo::BlobReader& blobs_;
  std::mutex mutex_;
  std::array<Trail, 16> trails_{};
  std::uint64_t clock_ = 0;
};

}  // namespace restic::fs
