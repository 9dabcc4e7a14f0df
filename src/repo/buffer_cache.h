// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace restic::repo {

// Large buffers of one size that go from hand to hand. Giving one back to the system and asking for the next
// costs more, page by page, than sealing into it; an allocator that keeps them keeps too many. Thread-safe.
class BufferCache {
 public:
  // Keeps at most `kept` buffers that nobody uses.
  BufferCache(std::size_t size, std::size_t kept) : size_(size), kept_(kept) {}
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;

  // `size` bytes of any content.
  Bytes take() {
    Bytes buffer;
    {
      const std::lock_guard lock(mutex_);
      if (!unused_.empty()) {
        buffer = std::move(unused_.back());
        unused_.pop_back();
      }
    }
    buffer.resize(size_);
    return buffer;
  }

  void give_back(Bytes buffer) {
    const std::lock_guard lock(mutex_);
    if (unused_.size() < kept_ && buffer.capacity() >= size_) unused_.push_back(std::move(buffer));
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    unused_.clear();
  }

 private:
  const std::size_t size_;
  const std::size_t kept_;
  std::mutex mutex_;
  std::vector<Bytes> unused_;  // guarded by mutex_
};

}  // namespace restic::repo
