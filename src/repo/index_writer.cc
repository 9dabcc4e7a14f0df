// SPDX-License-Identifier: MIT
#include "repo/index_writer.h"

#include <utility>

namespace restic::repo {

void IndexWriter::add(PackEntry pack) {
  std::vector<PackEntry> due;
  {
    const std::lock_guard lock(mutex_);
    const Clock::Instant now = clock_.now();
    if (packs_.empty()) first_added_ = now;
    blobs_ += pack.blobs.size();
    packs_.push_back(std::move(pack));
    if (blobs_ < kMaxBlobs && now - first_added_ < kMaxAge) return;
    due = std::exchange(packs_, {});
    blobs_ = 0;
  }
  write_(std::move(due));
}

void IndexWriter::flush() {
  std::vector<PackEntry> packs = take();
  if (!packs.empty()) write_(std::move(packs));
}

std::vector<PackEntry> IndexWriter::take() {
  const std::lock_guard lock(mutex_);
  blobs_ = 0;
  return std::exchange(packs_, {});
}

}  // namespace restic::repo
