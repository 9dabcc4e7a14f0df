// SPDX-License-Identifier: MIT
#include "repo/index_writer.h"

#include <utility>

namespace restic::repo {

void IndexWriter::add(PackEntry pack) {
  const std::lock_guard lock(mutex_);
  const Clock::Instant now = clock_.now();
  if (packs_.empty()) first_added_ = now;
  blobs_ += pack.blobs.size();
  packs_.push_back(std::move(pack));
  if (blobs_ >= kMaxBlobs || now - first_added_ >= kMaxAge) write_all();
}

void IndexWriter::flush() {
  const std::lock_guard lock(mutex_);
  if (!packs_.empty()) write_all();
}

void IndexWriter::write_all() {
  blobs_ = 0;
  write_(std::exchange(packs_, {}));
}

}  // namespace restic::repo
