// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace restic::repo {

// Looks for the end of a chunk at 64 places side by side, with the byte matrices of AVX-512 and GFNI: the
// fingerprint is linear over GF(2), so that each of its bytes is a sum of 8 by 8 bit matrices times bytes.
// Six times as fast as the tables of Chunker, which it is made from and whose results it gives. Immutable,
// thread-safe; takes no memory and cannot fail. Only where available().
class ChunkerLanes {
 public:
  static constexpr std::size_t kLanes = 64;
  static constexpr std::size_t kWindow = 64;
  static constexpr std::size_t kNone = 0;  // no chunk is empty

  static bool available() noexcept;

  // `reduced`: for each byte, what it contributes as the one above the fingerprint's 53 bits; `gone`: as the
  // one that leaves the window. Both below 2^53.
  using Table = std::array<std::uint64_t, 256>;
  ChunkerLanes(const Table& reduced, const Table& gone);

  // The first size above `size` at which the chunk that begins with `data` may end, looking at as many sizes
  // as there are lanes with `steps` each, a multiple of kWindow; kNone: at none of them. `size` is not less
  // than kWindow.
  std::size_t scan(const std::uint8_t* data, std::size_t size, std::size_t steps) const noexcept;

 private:
  // An 8 by 8 bit matrix as the instruction wants it, for each of the seven bytes of a fingerprint that is
  // shifted up to their top.
  static constexpr std::size_t kBytes = 7;
  using Matrices = std::array<std::uint64_t, kBytes>;
  struct Fingerprints;

  Matrices top_{}, out_{};
  std::array<std::uint64_t, 2> in_{};  // of bytes 0 and 1; the others do not depend on it
};

}  // namespace restic::repo
