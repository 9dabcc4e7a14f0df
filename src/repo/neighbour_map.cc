// SPDX-License-Identifier: MIT
#include "repo/neighbour_map.h"

#include <algorithm>

namespace restic::repo {

NeighbourMap::Wish NeighbourMap::wish(const Id& pack, Stretch blob, std::uint64_t bytes, bool fetched) {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(pack);
  if (found != known_.end()) {
    order_.splice(order_.begin(), order_, found->second);
  } else {
    order_.push_front({pack, blob});
    known_.emplace(pack, order_.begin());
    if (known_.size() > kMostPacks) {
      known_.erase(order_.back().pack);
      order_.pop_back();
    }
  }
  Stretch& covered = order_.front().covered;
  if (!fetched || blob.begin < covered.begin || blob.end > covered.end) covered = blob;

  Wish wish;
  if (covered.end < blob.end + bytes / 2) wish.beyond = {covered.end, blob.end + bytes};
  const std::uint64_t least = blob.begin - std::min(blob.begin, bytes / 2);
  if (covered.begin > least) wish.behind = {blob.begin - std::min(blob.begin, bytes), covered.begin};
  return wish;
}

void NeighbourMap::asked(const Id& pack, Stretch stretch) {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(pack);
  if (found == known_.end()) return;
  Stretch& covered = found->second->covered;
  if (stretch.begin > covered.end || stretch.end < covered.begin) return;
  covered = {std::min(covered.begin, stretch.begin), std::max(covered.end, stretch.end)};
}

}  // namespace restic::repo
