// SPDX-License-Identifier: MIT
#include "fs/neighbourhood.h"

#include <algorithm>

namespace restic::fs {
namespace {

template <class Slots>
auto& least_recently_used(Slots& slots) {
  return *std::min_element(slots.begin(), slots.end(),
                           [](const auto& a, const auto& b) { return a.used < b.used; });
}

}  // namespace

void Neighbourhood::opened(NodeId folder, const repo::TreePtr& tree, std::uint32_t position) {
  const auto ref = nodes_.get(folder);
  if (!ref) return;
  std::vector<repo::BlobKey> keys;
  std::vector<repo::Id> trees;
  {
    std::lock_guard lock(mutex_);
    ++clock_;
    const WalkFolder place{tree, {ref->inode, ref->dir.tree}, ref->dir.snapshot_inode};
    Reader* reader = follow(place.key, position);
    if (reader == nullptr) {
      // A reader may have been ahead of what is known, and its next folder has become known since.
      for (Reader& stuck : readers_) {
        if (keys.empty() && stuck.sweep && !stuck.sweep->missing().empty()) advance(stuck, keys, trees);
      }
      reader = follow(place.key, position);
    }
    if (reader == nullptr) {
      if (const auto order = order_shown(place, position)) reader = &start(folder, place, position, *order);
    }
    if (reader != nullptr) {
      reader->used = clock_;
      // Once a call: what is about to be asked for has not taken its room yet.
      if (keys.empty()) advance(*reader, keys, trees);
    }
  }
  if (!trees.empty()) repository_.tree_ahead(trees);
  if (!keys.empty()) repository_.blobs().request(keys, transport::Urgency::Ahead);
}

Neighbourhood::Reader* Neighbourhood::follow(const FolderKey& folder, std::uint32_t position) {
  for (Reader& reader : readers_) {
    if (reader.sweep && reader.sweep->follow(folder, position)) return &reader;
  }
  return nullptr;
}

std::optional<WalkOrder> Neighbourhood::order_shown(const WalkFolder& folder, std::uint32_t position) {
  auto trail = std::find_if(trails_.begin(), trails_.end(), [&](const Trail& known) {
    return known.used != 0 && known.folder == folder.key;
  });
  if (trail == trails_.end()) {
    Trail& oldest = least_recently_used(trails_);
    oldest = {folder.key, {}, 0};
    trail = trails_.begin() + (&oldest - trails_.data());
  }
  trail->used = clock_;
  const auto order = trail->trail.opened(folder, position);
  if (order) return order;
  // Whoever went through another folder until now goes on walking.
  for (const Reader& reader : readers_) {
    if (reader.sweep && reader.used + 1 == clock_) return reader.sweep->order();
  }
  return std::nullopt;
}

Neighbourhood::Reader& Neighbourhood::start(NodeId folder, const WalkFolder& place, std::uint32_t position,
                                            WalkOrder order) {
  Reader& reader = least_recently_used(readers_);
  reader.sweep.emplace(FileWalk(path_to(folder, place, position), order));
  return reader;
}

// From the outermost folder that is in memory down to the one at hand.
std::vector<FileWalk::Place> Neighbourhood::path_to(NodeId folder, const WalkFolder& place,
                                                    std::uint32_t position) {
  std::vector<FileWalk::Place> path{{place, position}};
  auto below = nodes_.get(folder);
  while (below && below->kind == NodeKind::Dir && path.size() < FileWalk::kMostLevels / 2) {
    const auto above = nodes_.get(below->parent);
    if (!above) break;
    repo::TreePtr tree = repository_.cached_tree(above->dir.tree);
    if (!tree || below->place >= tree->size()) break;
    path.push_back(
        {{std::move(tree), {above->inode, above->dir.tree}, above->dir.snapshot_inode}, below->place});
    below = above;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

void Neighbourhood::advance(Reader& reader, std::vector<repo::BlobKey>& keys, std::vector<repo::Id>& trees) {
  const std::vector<repo::Id> before = reader.sweep->missing();
  const std::vector<repo::BlobKey> more = reader.sweep->ahead(
      repository_.blobs().room_ahead(), [this](const repo::Id& id) { return repository_.cached_tree(id); });
  keys.insert(keys.end(), more.begin(), more.end());
  const std::vector<repo::Id>& missing = reader.sweep->missing();
  if (missing != before) trees = missing;
}

}  // namespace restic::fs
