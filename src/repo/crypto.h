// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "repo/secret_memory.h"

namespace restic::repo {

// Sealed object: IV(16) || AES-256-CTR ciphertext || Poly1305-AES(16) over the ciphertext (FORMAT:
// cryptography).
inline constexpr std::size_t kSealOverhead = 32;
inline constexpr std::size_t kIvSize = 16;
inline constexpr std::size_t kMacSize = 16;

class CipherContexts;

// The three parts of a restic key, 64 bytes: encrypt 32, mac k 16, mac r 16 (clamped on use).
struct RawKey {
  std::array<std::uint8_t, 32> encrypt{};
  std::array<std::uint8_t, 16> mac_k{};
  std::array<std::uint8_t, 16> mac_r{};

  // False when a part is all zero: restic calls such a key invalid.
  bool valid() const noexcept;
};
using SecretKey = Secret<RawKey>;

// Seals and opens with one key. Thread-safe: each thread and each Opener has its own cipher contexts. The key
// itself lies in locked, dump-excluded memory and is wiped by the destructor; the contexts keep a key
// schedule until their thread or Opener ends.
class Crypto {
 public:
  // Throws Error{Damaged} when the key is not valid. The caller wipes `key`.
  explicit Crypto(const RawKey& key);

  // Verifies the MAC and decrypts in place, in one pass over the cache; the plaintext is the returned part of
  // `sealed`. False: shorter than 32 bytes, zero IV or wrong MAC; then `sealed` holds nothing of the
  // plaintext.
  [[nodiscard]] bool open_in_place(std::span<std::uint8_t> sealed, ByteView& plain) const;
  // The same for what is still arriving.
  class Opener;
  // The same into new memory; throws Error{Damaged} that begins with `what`.
  Bytes open(ByteView sealed, const std::string& what) const;
  // Appends IV || ciphertext || MAC of `plain` to `out`, with a fresh random IV. `plain` must not lie in
  // `out`.
  void seal(ByteView plain, Bytes& out) const;
  // The same into place: `sealed` has plain.size() + kSealOverhead bytes that do not overlap `plain`.
  void seal(ByteView plain, std::span<std::uint8_t> sealed) const;
  // Whether `sealed` opens to `plain`. Takes no memory for what it opens.
  bool opens_to(ByteView sealed, ByteView plain) const;
  // Fills `out` with a subkey for `purpose`, for sealing local files; different for each purpose, never used
  // in the repository.
  void derive_local_key(std::span<std::uint8_t, 32> out, const char* purpose) const;

 private:
  SecretKey key_;
};

// Opens one sealed object in place while its bytes arrive. Not thread-safe.
class Crypto::Opener {
 public:
  // `sealed` is where all of it is going to be.
  Opener(const Crypto& crypto, std::span<std::uint8_t> sealed);
  ~Opener();
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;

  // The first `arrived` bytes are there. Returns how many bytes of the plaintext are in place by then. Nobody
  // has vouched for them before finish(): they may be hashed and counted, and nothing else.
  std::size_t go_on(std::size_t arrived);
  // Everything is there, and is in place now if the answer is true; as open_in_place().
  [[nodiscard]] bool finish();
  // Where the plaintext is, or is going to be. Empty where there cannot be any.
  std::span<std::uint8_t> plain() const { return plain_; }

 private:
  const Crypto& crypto_;
  const std::span<std::uint8_t> sealed_;
  const std::span<std::uint8_t> plain_;
  std::unique_ptr<CipherContexts> contexts_;  // null: it has not begun
  std::size_t opened_ = 0;
};

}  // namespace restic::repo
