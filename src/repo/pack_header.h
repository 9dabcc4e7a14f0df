// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "repo/crypto.h"
#include "repo/index.h"

namespace restic::repo {

// A pack ends with its sealed header and the header's length (FORMAT: pack files):
//   sealed(blob) … sealed(header) || LE32(length of sealed header)
inline constexpr std::size_t kPackTrailerSize = 4;
inline constexpr std::size_t kPlainEntrySize = 37;
inline constexpr std::size_t kCompressedEntrySize = 41;
// restic reads no longer header than this, sealed; with it go the 4 bytes of its length.
inline constexpr std::size_t kMaxSealedHeader = 16U << 20U;

// What one blob adds to the header, in plain.
constexpr std::size_t header_entry_size(bool compressed) {
  return compressed ? kCompressedEntrySize : kPlainEntrySize;
}
// Whether a header of so many plain bytes is one that every restic reads: writers close a pack before it is
// not.
constexpr bool header_fits(std::size_t plain_size) { return plain_size + kSealOverhead <= kMaxSealedHeader; }

// How many bytes at the end of a pack hold header and trailer, from its last 4 bytes. Throws Error{Damaged}
// that begins with `what` when no such header can be in a pack of `pack_size` bytes.
std::size_t pack_tail_size(ByteView trailer, std::uint64_t pack_size, const std::string& what);

// Opens and decodes header and trailer: `tail` is exactly the last pack_tail_size() bytes. Blobs in pack
// order, offsets from 0 without a gap up to the header. Throws Error{Damaged} that begins with `what`: does
// not open, unknown type, a cut entry, an impossible length, or lengths that do not add up to `pack_size`.
std::vector<PackedBlob> decode_pack_tail(const Crypto& crypto, ByteView tail, std::uint64_t pack_size,
                                         const std::string& what);

// The bytes to append to a pack after its blobs, which must be in pack order without gaps. Throws
// Error{Usage} when they are not, or too many.
Bytes encode_pack_tail(const Crypto& crypto, std::span<const PackedBlob> blobs);

}  // namespace restic::repo
