// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <mutex>
#include <utility>

#include "base/bytes.h"

namespace restic::repo {

// Large buffers of one size that go from hand to hand. Giving one back to the system and asking for the next
// costs more, page by page, than sealing into it; an allocator that keeps them keeps too many. Thread-safe.
class BufferCache {
 public:
  explicit BufferCache(std::size_t size) : size_(size) {}
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;

  // `size` bytes of any content.
  Bytes take() {
    Bytes buffer;
    {
      const std::lock_guard lock(mutex_);
      buffer.swap(unused_);
    }
    buffer.resize(size_);
    return buffer;
  }

  void give_back(Bytes buffer) {
    const std::lock_guard lock(mutex_);
    if (keeps_one_ && unused_.capacity() == 0 && buffer.capacity() >= size_) unused_ = std::move(buffer);
  }

  // Whether one that nobody uses is kept. Where memory is short it is better used otherwise.
  void keep_one(bool keep) {
    const std::lock_guard lock(mutex_);
    keeps_one_ = keep;
    if (!keep) Bytes().swap(unused_);
  }

 private:
  const std::size_t size_;
  std::mutex mutex_;
  Bytes unused_;  // guarded by mutex_, like the rest; empty: none
  bool keeps_one_ = true;
};

}  // namespace restic::repo
