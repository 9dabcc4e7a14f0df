// SPDX-License-Identifier: MIT
#include "fs/neighbourhood.h"

#include <algorithm>
#include <optional>

namespace restic::fs {
namespace {

constexpr unsigned kPattern = 2;                // this many opens in a row make a pattern
constexpr std::size_t kStride = 16;             // entries that may be skipped: folders, links, files left out
constexpr std::uint64_t kWindow = 8ULL << 20U;  // bytes asked ahead at most
constexpr std::uint64_t kAround = 4ULL << 20U;  // bytes of a pack around the first file of a pattern
constexpr std::size_t kMostBlobs = 2048;        // in one request
constexpr std::size_t kMostEntries = 8192;      // looked at in one go
constexpr std::uint64_t kSmallFile = 4ULL << 20U;  // of larger files only the first blob is fetched ahead

// What of a file is worth fetching ahead: bytes, and how many blobs.
std::pair<std::uint64_t, std::size_t> share_of(const repo::Node& node) {
  if (node.type != repo::NodeType::File || node.content.empty()) return {0, 0};
  if (node.size <= kSmallFile) return {node.size, node.content.size()};
  return {kSmallFile, 1};
}

}  // namespace

Neighbourhood::Trail& Neighbourhood::trail_of(NodeId folder) {
  Trail* oldest = &trails_.front();
  for (auto& trail : trails_) {
    if (trail.folder == folder) return trail;
    if (trail.used < oldest->used) oldest = &trail;
  }
  // Whoever has just walked through another folder goes on walking: half a pattern to start with.
  const bool walking = std::any_of(trails_.begin(), trails_.end(), [this](const Trail& trail) {
    return trail.streak >= kPattern && trail.used + 1 == clock_;
  });
  *oldest = {.folder = folder, .streak = walking ? kPattern : 0};
  return *oldest;
}

void Neighbourhood::opened(NodeId folder, const repo::Tree& tree, std::size_t position) {
  std::vector<repo::BlobKey> keys;
  std::optional<repo::BlobKey> around;
  const std::uint64_t window = std::min(kWindow, blobs_.room_ahead() / 2);
  {
    std::lock_guard lock(mutex_);
    ++clock_;
    Trail& trail = trail_of(folder);
    const bool fresh = trail.used == 0;
    trail.used = clock_;
    if (!fresh && trail.last == position) return;
    const bool onwards = fresh || (position > trail.last && position - trail.last <= kStride);
    if (!onwards) trail = {.folder = folder, .used = clock_};
    for (auto passed = fresh ? position : trail.last + 1;
         onwards && passed <= position && passed < trail.asked; ++passed) {
      trail.waiting -= std::min(trail.waiting, share_of(tree.node(passed)).first);
    }
    trail.last = position;
    if (onwards) ++trail.streak;
    if (trail.streak <= kPattern || trail.waiting > window / 2) return;

    const repo::Node opened = tree.node(position);
    if (trail.asked == 0 && !opened.content.empty()) around = {repo::BlobType::Data, opened.content.front()};
    trail.asked = std::max(trail.asked, position + 1);
    const std::size_t stop = std::min(tree.size(), trail.asked + kMostEntries);
    for (; trail.asked < stop && trail.waiting < window && keys.size() < kMostBlobs; ++trail.asked) {
      const repo::Node next = tree.node(trail.asked);
      const auto [bytes, blobs] = share_of(next);
      trail.waiting += bytes;
      for (std::size_t blob = 0; blob < blobs && keys.size() < kMostBlobs; ++blob) {
        keys.push_back({repo::BlobType::Data, next.content[blob]});
      }
    }
  }
  if (around && !blobs_.cached(*around)) blobs_.request_neighbours(*around, std::min(kAround, window));
  if (!keys.empty()) blobs_.request(keys, transport::Urgency::Ahead);
}

}  // namespace restic::fs
