// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "repo/crypto.h"
#include "repo/id.h"
#include "repo/secret_memory.h"

namespace restic::repo {

// Seals what is kept on the local disk, so that a stolen disk shows no more than sizes: lz4, then
// XChaCha20-Poly1305 with a random nonce. The keys come from the repository's master key, its id and the name
// of the store, so that nothing opens anywhere else. Thread-safe.
class LocalSeal {
 public:
  // What stands on the disk for an id: says nothing to who does not have the key.
  using Token = std::array<std::uint8_t, 16>;
  static constexpr std::size_t kOverhead = 24 + 16;       // nonce and MAC
  static constexpr std::size_t kMostPlain = 256U << 20U;  // bytes of one record

  LocalSeal(const Crypto& crypto, const Id& repository, std::string_view store);

  Token token(const Id& id) const;
  // A keyed checksum for the framing between sealed records.
  std::uint64_t check(ByteView bytes) const;
  // Appends the sealed form of `plain`, at most plain.size() + kOverhead bytes; `plain` has kMostPlain at
  // most.
  void seal(const Token& token, ByteView plain, Bytes& out) const;
  // nullopt: not what seal() made for this token and plain size.
  std::optional<Bytes> open(const Token& token, std::span<std::uint8_t> sealed, std::size_t plain_size) const;

 private:
  struct Keys {
    std::array<std::uint8_t, 32> seal, token;
    std::array<std::uint8_t, 16> check;
  };
  Secret<Keys> keys_;
};

}  // namespace restic::repo
