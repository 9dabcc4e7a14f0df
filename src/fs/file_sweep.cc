// SPDX-License-Identifier: MIT
#include "fs/file_sweep.h"

#include <algorithm>

namespace restic::fs {
namespace {

constexpr std::size_t kSkipped = 32;               // expected files that a reader may leave out in a row,
constexpr std::size_t kLate = 16;                  // and how many of them may still be opened later
constexpr std::size_t kMostExpected = 4096;        // files
constexpr std::size_t kMostBlobs = 4096;           // in one request
constexpr std::uint64_t kSmallFile = 4ULL << 20U;  // of larger files only the first blob is fetched ahead

// What of a file is worth fetching ahead: bytes, and how many blobs.
std::pair<std::uint64_t, std::size_t> share_of(const repo::Node& node) {
  if (node.content.empty()) return {0, 0};
  if (node.size <= kSmallFile) return {node.size, node.content.size()};
  return {kSmallFile, 1};
}

}  // namespace

bool FileSweep::follow(const FolderKey& folder, std::uint32_t position) {
  const auto end = expected_.begin() + std::min(std::ssize(expected_), static_cast<std::ptrdiff_t>(kSkipped));
  const auto found = std::find_if(expected_.begin(), end, [&](const Expected& file) {
    return file.folder == folder && file.position == position;
  });
  if (found == end) return false;
  auto before = static_cast<std::size_t>(found - expected_.begin());
  waiting_ -= found->bytes;
  passed_ += found->bytes;
  expected_.erase(found);
  for (; before > kLate; --before) {
    waiting_ -= expected_.front().bytes;
    expected_.pop_front();
  }
  return true;
}

std::vector<repo::BlobKey> FileSweep::ahead(std::uint64_t room, const FileWalk::CachedTree& cached) {
  std::vector<repo::BlobKey> keys;
  const std::uint64_t window = std::min(kSmallestWindow + 2 * passed_, kLargestWindow);
  if (waiting_ > window / 4 * 3) return keys;
  const std::uint64_t goal = waiting_ + std::min(window - waiting_, room);
  while (waiting_ < goal && expected_.size() < kMostExpected && keys.size() < kMostBlobs) {
    const auto file = walk_.next(cached);
    if (!file) break;
    const auto [bytes, blobs] = share_of(file->node);
    expected_.push_back({file->folder, file->position, bytes});
    waiting_ += bytes;
    for (const repo::Id& id : file->node.content.first(blobs)) keys.push_back({repo::BlobType::Data, id});
  }
  return keys;
}

}  // namespace restic::fs
