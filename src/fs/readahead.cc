// SPDX-License-Identifier: MIT
#include "fs/readahead.h"

#include <algorithm>

namespace restic::fs {
namespace {

// How far from the furthest byte a read of the same run may begin: the kernel has this much under way at
// once.
constexpr std::uint64_t kReorder = 2ULL << 20U;
// A reader shows that it reads in a row by this many bytes.
constexpr std::uint64_t kProof = 128ULL << 10U;

}  // namespace

Readahead::Range Readahead::next(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size,
                                 std::uint64_t room) {
  const std::uint64_t end = std::min(file_size, offset + size);
  const std::uint64_t run = furthest_ - run_begin_;
  const std::uint64_t reorder = std::min(kReorder, run);  // a run of a few bytes excuses no jumps
  if (offset > furthest_ + reorder || offset + reorder < furthest_) {
    furthest_ = end;
    run_begin_ = asked_ = offset;
  }
  furthest_ = std::max(furthest_, end);
  asked_ = std::max(asked_, furthest_);
  if (furthest_ - run_begin_ < kProof) return {};

  const std::uint64_t window = std::min(std::clamp((furthest_ - run_begin_) * 2, kSmallest, kLargest), room);
  const std::uint64_t wanted = std::min(file_size, furthest_ + window);
  const bool worth_it = wanted > asked_ && (asked_ - furthest_ <= window / 2);
  if (!worth_it) return {};
  const Range range{asked_, wanted};
  asked_ = wanted;
  return range;
}

std::uint64_t Readahead::passed() const {
  if (furthest_ - run_begin_ <= kReorder) return 0;
  return furthest_ - kReorder;
}

}  // namespace restic::fs
