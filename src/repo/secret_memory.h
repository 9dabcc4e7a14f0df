// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "base/bytes.h"

namespace restic::repo {

// Memory for keys and passwords: zeroed at first, locked into RAM (as far as RLIMIT_MEMLOCK allows), left out
// of core dumps, between guard pages, wiped when it goes. Each one costs four pages or more, so it is for
// keys, not for data. Not thread-safe by itself. The constructor throws std::bad_alloc.
class SecretBytes {
 public:
  explicit SecretBytes(std::size_t size);
  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::span<std::uint8_t> span() const noexcept { return {data_, size_}; }
  ByteView view() const noexcept { return {data_, size_}; }

 private:
  std::uint8_t* data_;
  std::size_t size_;
};

// One plain struct of bytes in such memory.
template <class T>
class Secret {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1, "only arrays of bytes need no alignment");

 public:
  Secret() : memory_(sizeof(T)) {}
  T& operator*() const noexcept { return *reinterpret_cast<T*>(memory_.data()); }
  T* operator->() const noexcept { return &**this; }

 private:
  SecretBytes memory_;
};

// Overwrites memory in a way the compiler does not remove: for copies of secrets that could not be avoided.
void wipe(std::span<std::uint8_t> memory) noexcept;
void wipe(std::span<char> memory) noexcept;

}  // namespace restic::repo
