// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "fs/file_walk.h"
#include "repo/blob.h"

namespace restic::fs {

// One reader that goes from file to file, and what was asked for ahead of it. The further the reader has come
// the further ahead of it is asked. Not thread-safe.
class FileSweep {
 public:
  static constexpr std::uint64_t kSmallestWindow = 4ULL << 20U;  // bytes of files
  static constexpr std::uint64_t kLargestWindow = 32ULL << 20U;

  explicit FileSweep(FileWalk walk) : walk_(std::move(walk)) {}

  // The reader opens a file. False: not one that was to be expected of it next.
  bool follow(const FolderKey& folder, std::uint32_t position);

  // What to fetch ahead now, at most `room` bytes of files. Asked in big steps: empty most of the time.
  std::vector<repo::BlobKey> ahead(std::uint64_t room, const FileWalk::CachedTree& cached);
  // As FileWalk::missing.
  const std::vector<repo::Id>& missing() const { return walk_.missing(); }
  WalkOrder order() const { return walk_.order(); }

 private:
  struct Expected {
    FolderKey folder;
    std::uint32_t position;
    std::uint64_t bytes;
  };

  FileWalk walk_;
  std::deque<Expected> expected_;  // asked for and not opened yet, the next one first
  std::uint64_t waiting_ = 0;      // bytes of them
  std::uint64_t passed_ = 0;       // bytes of those that were opened
};

}  // namespace restic::fs
