// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"

namespace restic::repo {

// Sealed object: IV(16) || AES-256-CTR ciphertext || Poly1305-AES(16) over the ciphertext (FORMAT: cryptography).
inline constexpr std::size_t kSealOverhead = 32;
inline constexpr std::size_t kIvSize = 16;

// The three parts of a restic key, 64 bytes: encrypt 32, mac k 16, mac r 16 (clamped on use).
struct RawKey {
  std::array<std::uint8_t, 32> encrypt{};
  std::array<std::uint8_t, 16> mac_k{};
  std::array<std::uint8_t, 16> mac_r{};
};

// Seals and opens with one key. Thread-safe: each thread has its own cipher contexts, the key itself lies in locked,
// dump-excluded memory and is wiped by the destructor.
class Crypto {
 public:
  // Throws Error{Damaged} when encrypt, k or r are all zero. The caller wipes `key`.
  explicit Crypto(const RawKey& key);
  ~Crypto();
  Crypto(const Crypto&) = delete;
  Crypto& operator=(const Crypto&) = delete;

  // Verifies the MAC, then decrypts in place; the plaintext is the returned part of `sealed`. False: shorter than 32
  // bytes, zero IV or wrong MAC; then nothing of it may be used.
  [[nodiscard]] bool open_in_place(std::span<std::uint8_t> sealed, ByteView& plain) const;
  // The same into new memory; throws Error{Damaged} with `what` named.
  Bytes open(ByteView sealed, const char* what) const;
  // Appends IV || ciphertext || MAC of `plain` to `out`, with a fresh random IV.
  void seal(ByteView plain, Bytes& out) const;
  // Fills `out` with a subkey for `purpose`, for sealing local files; different for each purpose, never used in the
  // repository.
  void derive_local_key(std::span<std::uint8_t, 32> out, const char* purpose) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::repo
