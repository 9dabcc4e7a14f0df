// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/file_sweep.h"
#include "fs/folder_trail.h"
#include "fs/node_table.h"
#include "repo/repository.h"

namespace restic::fs {

// Notices readers that go from file to file, and fetches the next files of the folder and of the folders
// behind it before they are opened. A reader that does not pays a few comparisons an open. Thread-safe; never
// blocks on the network.
class Neighbourhood {
 public:
  Neighbourhood(repo::Repository& repository, const NodeTable& nodes)
      : repository_(repository), nodes_(nodes) {}

  // The file at `position` of a folder is being opened.
  void opened(NodeId folder, const repo::TreePtr& tree, std::uint32_t position);

 private:
  struct Trail {
    FolderKey folder;
    FolderTrail trail;
    std::uint64_t used = 0;  // when, by clock_; 0: never
  };
  struct Reader {
    std::optional<FileSweep> sweep;
    std::uint64_t used = 0;
  };

  Reader* follow(const FolderKey& folder, std::uint32_t position);
  std::optional<WalkOrder> order_shown(const WalkFolder& folder, std::uint32_t position);
  Reader& start(NodeId folder, const WalkFolder& place, std::uint32_t position, WalkOrder order);
  std::vector<FileWalk::Place> path_to(NodeId folder, const WalkFolder& place, std::uint32_t position);
  void advance(Reader& reader, std::vector<repo::BlobKey>& keys, std::vector<repo::Id>& trees);

  repo::Repository& repository_;
  const NodeTable& nodes_;
  std::mutex mutex_;
  std::array<Trail, 16> trails_;
  std::array<Reader, 4> readers_;
  std::uint64_t clock_ = 0;
};

}  // namespace restic::fs
