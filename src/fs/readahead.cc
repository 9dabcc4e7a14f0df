// SPDX-License-Identifier: MIT
#include "fs/readahead.h"

#include <algorithm>

namespace restic::fs {
namespace {

// How far from the furthest byte a read of the same run may begin: the kernel has this much under way at
// once, and may hold what lies between already.
constexpr std::uint64_t kReorder = 2ULL << 20U;
// A reader shows that it reads in a row by this many bytes, or by this many reads forward.
constexpr std::uint64_t kProof = 128ULL << 10U;
constexpr unsigned kProofReads = 4;
// Asked for at once while more is on its way: what is asked for together arrives together, and a line that
// carries the whole window at once would be idle until the next is asked for.
constexpr std::uint64_t kStep = 8ULL << 20U;
constexpr std::uint64_t kSmallestStep = 512ULL << 10U;  // where there is little room

}  // namespace

Readahead::Range Readahead::next(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size,
                                 std::uint64_t room) {
  const std::uint64_t end = std::min(file_size, offset + size);
  const std::uint64_t back = std::min(kReorder, furthest_ - run_begin_);  // a short run excuses no way back
  const bool first = read_ == 0;
  const bool leaps = offset > furthest_ + kReorder;
  if (first || leaps || offset + back < furthest_) {
    // What was asked for stays so, but a reader that leaps has to show again that it reads in a row.
    if (first || !leaps || offset > asked_) asked_ = offset;
    furthest_ = run_begin_ = passed_ = offset;
    read_ = 0;
    reads_ = 0;
  }
  if (end > furthest_) {
    read_ += end - std::max(offset, furthest_);
    ++reads_;
    furthest_ = end;
  }
  asked_ = std::max(asked_, furthest_);
  if (read_ < kProof && reads_ < kProofReads) return {};

  const std::uint64_t window = std::clamp((furthest_ - run_begin_) * 2, kSmallest, kLargest);
  const std::uint64_t wanted = std::min({file_size, furthest_ + window, asked_ + room});
  // Larger steps become larger requests; a reader that has little before it takes what room there is.
  const std::uint64_t step = asked_ - furthest_ < kStep ? kSmallestStep : kStep;
  const std::uint64_t worth_it = std::min({window / 2, step, file_size - asked_});
  if (wanted <= asked_ || wanted - asked_ < worth_it) return {};
  const Range range{asked_, wanted};
  asked_ = wanted;
  return range;
}

void Readahead::refused(std::uint64_t from) { asked_ = std::max(furthest_, std::min(asked_, from)); }

Readahead::Range Readahead::passed() {
  if (furthest_ - passed_ <= kReorder) return {};
  const Range range{passed_, furthest_ - kReorder};
  passed_ = range.end;
  return range;
}

}  // namespace restic::fs
