// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace restic {

// From here on a buffer is worth a call of the system to have its pages of 2 MiB instead of 4 KiB.
inline constexpr std::size_t kLargeBuffer = 2U << 20U;
// Where the system can do so; no effect else.
void prefer_huge_pages(void* memory, std::size_t bytes) noexcept;

// An allocator whose `resize(n)` leaves new bytes unset: buffers that a read fills at once are not zeroed
// first.
template <class T>
struct UnsetAllocator : std::allocator<T> {
  template <class U>
  struct rebind {  // NOLINT(readability-identifier-naming): the standard's name
    using other = UnsetAllocator<U>;
  };
  T* allocate(std::size_t count) {
    T* const memory = std::allocator<T>::allocate(count);
    if (count * sizeof(T) >= kLargeBuffer) prefer_huge_pages(memory, count * sizeof(T));
    return memory;
  }
  template <class U>
  void construct(U* at) noexcept {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
};

using Bytes = std::vector<std::uint8_t, UnsetAllocator<std::uint8_t>>;
using ByteView = std::span<const std::uint8_t>;
using SharedBytes = std::shared_ptr<const Bytes>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace restic
