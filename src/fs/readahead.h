// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace restic::fs {

// Decides how far to fetch ahead in one open file. Knows bytes only. Reads count as sequential while they
// stay near the furthest byte read, for the kernel sends its own read-ahead out of order and leaves out what
// it still has. The window is twice the length of the run, from kSmallest to kLargest; a reader that jumps
// with small reads gets nothing ahead. Not thread-safe.
class Readahead {
 public:
  static constexpr std::uint64_t kSmallest = 1ULL << 20U;
  static constexpr std::uint64_t kLargest = 48ULL << 20U;

  struct Range {
    std::uint64_t begin = 0, end = 0;
    bool empty() const { return begin >= end; }
  };

  // A read of [offset, offset + size) happens, of at least a byte and within the file: what to fetch ahead of
  // it now, never more than `room` bytes, nothing that was asked for already. Asked in steps, of some MiB
  // where there is room: empty most of the time.
  Range next(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size, std::uint64_t room);

  // There was no room for what begins at this byte and for what follows: it is asked for again.
  void refused(std::uint64_t from);

  // Of a sequential reader: what it has read and left behind in this run, without what the last call told.
  Range passed();

 private:
  std::uint64_t furthest_ = 0;   // end of the furthest read of this run
  std::uint64_t run_begin_ = 0;  // where it began
  std::uint64_t passed_ = 0;     // of this run, what lies before it was told as passed
  std::uint64_t asked_ = 0;      // everything before it was asked for
  std::uint64_t read_ = 0;       // bytes of this run
  unsigned reads_ = 0;           // of this run, those that went further
};

}  // namespace restic::fs
