// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "repo/chunker_lanes.h"

namespace restic::repo {

// Where restic cuts a file into chunks (FORMAT: chunker): a Rabin fingerprint of the last 64 bytes under the
// repository's polynomial. Immutable after construction, so any number of threads may ask one Chunker.
//
// restic describes this as a rolling state that skips the first bytes of each chunk. Within the range of
// sizes where a cut is allowed the window always holds the last 64 bytes of the chunk and nothing else, so
// whether a chunk may end at a place depends on those bytes only. That is why several places can be looked at
// side by side.
class Chunker {
 public:
  static constexpr std::size_t kMinSize = 512U << 10U;
  static constexpr std::size_t kMaxSize = 8U << 20U;

  // Tables: also where the processor could do better.
  enum class Means { Best, Tables };
  // Throws Error{Unsupported} unless the polynomial has degree 53, as every polynomial restic makes has.
  explicit Chunker(std::uint64_t polynomial, Means means = Means::Best);

  // The size of the chunk that begins with `data`, when its end lies within `data`; nullopt: it ends later,
  // or with the file. `seen` bytes of `data` were asked about before without finding an end.
  std::optional<std::size_t> find_end(ByteView data, std::size_t seen = 0) const;

  // restic's tables, for comparing with the published ones.
  using Table = std::array<std::uint64_t, 256>;
  const Table& out_table() const { return out_; }
  const Table& mod_table() const { return mod_; }

 private:
  std::uint64_t fingerprint(const std::uint8_t* end) const;
  std::size_t scan(const std::uint8_t* data, std::size_t first, std::size_t last) const;
  [[gnu::cold]] std::size_t first_hit(const std::uint8_t* data, std::size_t first, std::size_t lane,
                                      std::size_t at) const;
  std::size_t scan_lanes(const std::uint8_t* data, std::size_t first) const;

  Table out_{};   // what byte b contributes when it is about to leave the window
  Table mod_{};   // reduces a fingerprint whose top byte is b, and clears that byte
  Table gone_{};  // out_ one step later: a byte's contribution after the shift, which shortens the chain of
                  // loads
  std::optional<ChunkerLanes> lanes_;
};

}  // namespace restic::repo
