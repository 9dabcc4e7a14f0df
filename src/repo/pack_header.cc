// SPDX-License-Identifier: MIT
#include "repo/pack_header.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace restic::repo {
namespace {

// The type byte of an entry: what the blob is, and whether an uncompressed length follows.
constexpr std::uint8_t kData = 0;
constexpr std::uint8_t kTree = 1;
constexpr std::uint8_t kCompressedData = 2;
constexpr std::uint8_t kCompressedTree = 3;

[[noreturn]] void throw_damaged(const std::string& what, const char* why) {
  throw Error(Errc::Damaged, what + ": " + why);
}

std::uint32_t read_u32(ByteView bytes) {
  return bytes[0] | (std::uint32_t{bytes[1]} << 8U) | (std::uint32_t{bytes[2]} << 16U) |
         (std::uint32_t{bytes[3]} << 24U);
}

void append_u32(Bytes& out, std::uint32_t value) {
  for (const unsigned shift : {0U, 8U, 16U, 24U}) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

// Takes one entry off the front of `header`.
PackedBlob take_entry(ByteView& header, std::uint64_t offset, const std::string& what) {
  const std::uint8_t type = header.front();
  if (type > kCompressedTree) throw_damaged(what, "its header has a blob of an unknown type");
  const bool compressed = type >= kCompressedData;
  const std::size_t size = header_entry_size(compressed);
  if (header.size() < size) throw_damaged(what, "its header is cut short");

  PackedBlob blob{};
  blob.key.type = type == kData || type == kCompressedData ? BlobType::Data : BlobType::Tree;
  blob.length = read_u32(header.subspan(1));
  if (compressed) blob.uncompressed_length = read_u32(header.subspan(5));
  std::ranges::copy(header.subspan(size - Id::kSize, Id::kSize), blob.key.id.bytes.begin());
  header = header.subspan(size);

  if (blob.length < kSealOverhead || (compressed && blob.uncompressed_length == 0)) {
    throw_damaged(what, "its header has an impossible length");
  }
  if (offset + blob.length > std::numeric_limits<std::uint32_t>::max())
    throw_damaged(what, "it is too large");
  blob.offset = static_cast<std::uint32_t>(offset);
  return blob;
}

}  // namespace

std::size_t pack_tail_size(ByteView trailer, std::uint64_t pack_size, const std::string& what) {
  if (trailer.size() != kPackTrailerSize || pack_size < kPackTrailerSize)
    throw_damaged(what, "it is cut short");
  const std::uint32_t sealed = read_u32(trailer);
  if (sealed < kSealOverhead + kPlainEntrySize || sealed > kMaxSealedHeader ||
      sealed > pack_size - kPackTrailerSize) {
    throw_damaged(what, "the length of its header is impossible");
  }
  return sealed + kPackTrailerSize;
}

std::vector<PackedBlob> decode_pack_tail(const Crypto& crypto, ByteView tail, std::uint64_t pack_size,
                                         const std::string& what) {
  if (tail.size() < kPackTrailerSize ||
      tail.size() != pack_tail_size(tail.last(kPackTrailerSize), pack_size, what)) {
    throw_damaged(what, "the length of its header is impossible");
  }
  const Bytes plain = crypto.open(tail.first(tail.size() - kPackTrailerSize), what);
  std::vector<PackedBlob> blobs;
  blobs.reserve(plain.size() / kPlainEntrySize);
  std::uint64_t offset = 0;
  for (ByteView rest = plain; !rest.empty();) {
    blobs.push_back(take_entry(rest, offset, what));
    offset += blobs.back().length;
  }
  if (offset + tail.size() != pack_size) throw_damaged(what, "its header does not add up to its size");
  return blobs;
}

Bytes encode_pack_tail(const Crypto& crypto, std::span<const PackedBlob> blobs) {
  Bytes header;
  header.reserve(blobs.size() * kCompressedEntrySize);
  std::uint64_t offset = 0;
  for (const PackedBlob& blob : blobs) {
    if (blob.offset != offset || blob.length < kSealOverhead) {
      throw Error(Errc::Usage, "a pack's blobs must follow one another");
    }
    offset += blob.length;
    const bool compressed = blob.uncompressed_length != 0;
    if (blob.key.type == BlobType::Data) {
      header.push_back(compressed ? kCompressedData : kData);
    } else {
      header.push_back(compressed ? kCompressedTree : kTree);
    }
    append_u32(header, blob.length);
    if (compressed) append_u32(header, blob.uncompressed_length);
    header.insert(header.end(), blob.key.id.bytes.begin(), blob.key.id.bytes.end());
  }
  if (blobs.empty() || !header_fits(header.size()))
    throw Error(Errc::Usage, "a pack with no or too many blobs");
  Bytes tail;
  crypto.seal(header, tail);
  append_u32(tail, static_cast<std::uint32_t>(tail.size()));
  return tail;
}

}  // namespace restic::repo
