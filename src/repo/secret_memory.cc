// SPDX-License-Identifier: MIT
#include "repo/secret_memory.h"

#include <sodium.h>

#include <cstring>
#include <new>

namespace restic::repo {

SecretBytes::SecretBytes(std::size_t size) : data_(nullptr), size_(size) {
  if (sodium_init() < 0)
    throw std::bad_alloc();  // harmless when it was done before; the guard canary needs it
  data_ = static_cast<std::uint8_t*>(sodium_malloc(size));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, size);
}

SecretBytes::~SecretBytes() { sodium_free(data_); }

void wipe(std::span<std::uint8_t> memory) noexcept { sodium_memzero(memory.data(), memory.size()); }

void wipe(std::span<char> memory) noexcept { sodium_memzero(memory.data(), memory.size()); }

}  // namespace restic::repo
