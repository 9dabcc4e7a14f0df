// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace restic::fs {

// What is open in the mount. FUSE keeps one integer for each open file or folder and gives it back with every
// request; this owns what the integer stands for. An unmount sends no release for what is still open then, so
// whatever is left goes with the table. Thread-safe; never blocks for long.
class OpenHandles {
 public:
  OpenHandles() = default;
  OpenHandles(const OpenHandles&) = delete;
  OpenHandles& operator=(const OpenHandles&) = delete;
  ~OpenHandles() {
    for (const auto& [handle, destroy] : live_) destroy(handle);
  }

  template <class Handle>
  std::uint64_t keep(std::unique_ptr<Handle> handle) {
    const std::lock_guard lock(mutex_);
    live_.emplace(handle.get(), [](void* kept) { delete static_cast<Handle*>(kept); });
    return reinterpret_cast<std::uintptr_t>(handle.release());
  }
  // Between keep and take only; the type is the one it was kept as.
  template <class Handle>
  static Handle& at(std::uint64_t number) {
    return *reinterpret_cast<Handle*>(number);  // NOLINT(performance-no-int-to-ptr): FUSE keeps integers
  }
  template <class Handle>
  std::unique_ptr<Handle> take(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    live_.erase(&at<Handle>(number));
    return std::unique_ptr<Handle>(&at<Handle>(number));
  }

 private:
  std::mutex mutex_;
  std::unordered_map<void*, void (*)(void*)> live_;  // guarded by mutex_
};

}  // namespace restic::fs
