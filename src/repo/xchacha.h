// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace restic::repo {

// XChaCha20-Poly1305 as libsodium's crypto_aead_xchacha20poly1305_ietf, byte for byte: the subkey by
// libsodium's HChaCha20, the rest by OpenSSL's ChaCha20-Poly1305, which takes a quarter of the time of
// libsodium's. In place. Thread-safe; CPU work. Throws Error{Io} or std::bad_alloc when the library fails.
class XChaCha {
 public:
  static constexpr std::size_t kKeySize = 32, kNonceSize = 24, kTagSize = 16;
  using Key = std::span<const std::uint8_t, kKeySize>;
  using Nonce = std::span<const std::uint8_t, kNonceSize>;

  // In place. `context` is authenticated with the content, and not in it.
  static void seal(Key key, Nonce nonce, ByteView context, std::span<std::uint8_t> content,
                   std::span<std::uint8_t, kTagSize> tag);
  // To `out`, which may be the content's own place. False: somebody else made it, or it was changed; what is
  // in `out` is then of no use.
  [[nodiscard]] static bool open(Key key, Nonce nonce, ByteView context, ByteView content,
                                 std::span<const std::uint8_t, kTagSize> tag, std::uint8_t* out);
};

}  // namespace restic::repo
