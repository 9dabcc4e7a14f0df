// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/index.h"

namespace restic::repo {

// What one index file says, immutable, in one block of memory: 44 bytes a blob and 36 a pack. Packs are in
// the order of the file, the blobs of a pack ascend by offset and do not overlap. The block is also what the
// local cache stores. Thread-safe.
class IndexSegment {
 public:
  // Plain blobs of 2 GiB and more cannot be expressed; restic writes 8 MiB at most, but for huge folders.
  static constexpr std::uint32_t kMostUncompressed = std::numeric_limits<std::int32_t>::max();

  // A block that `block()` gave out earlier. nullopt: it is not one; every place that is used later lies
  // within.
  static std::optional<IndexSegment> from_block(Bytes block);

  IndexSegment(IndexSegment&&) noexcept = default;
  IndexSegment& operator=(IndexSegment&&) noexcept = default;
  IndexSegment(const IndexSegment&) = delete;
  IndexSegment& operator=(const IndexSegment&) = delete;
  ~IndexSegment() = default;

  const Bytes& block() const { return block_; }
  const Id& file() const;
  std::uint32_t blob_count() const { return blob_count_; }
  std::uint32_t pack_count() const { return pack_count_; }
  std::uint64_t total_plain_bytes() const { return plain_bytes_; }
  std::uint64_t total_stored_bytes() const { return stored_bytes_; }

  // Blobs and packs are numbered from 0 within the segment.
  const Id& id(std::uint32_t blob) const { return ids_[blob]; }
  BlobType type(std::uint32_t blob) const;
  PackedBlob blob(std::uint32_t blob) const;
  std::uint32_t pack_of(std::uint32_t blob) const;
  const Id& pack_id(std::uint32_t pack) const { return packs_[pack].id; }
  struct BlobRange {
    std::uint32_t begin, end;
  };
  BlobRange blobs_of(std::uint32_t pack) const;

 private:
  friend class IndexSegmentBuilder;
  struct Pack {
    Id id;
    std::uint32_t first_blob;
  };
  struct Place {
    std::uint32_t offset;
    std::uint32_t length;
    std::uint32_t uncompressed_and_type;  // the type is the top bit
  };
  struct Header {
    Id file;
    std::uint32_t pack_count;
    std::uint32_t blob_count;
    std::uint64_t plain_bytes;
    std::uint64_t stored_bytes;
  };
  // The bytes of a block, or nothing where it could not be addressed.
  static std::optional<std::size_t> block_size(std::uint64_t packs, std::uint64_t blobs);
  explicit IndexSegment(Bytes block);

  Bytes block_;  // Header, packs, ids, places
  std::uint32_t blob_count_ = 0, pack_count_ = 0;
  std::uint64_t plain_bytes_ = 0, stored_bytes_ = 0;
  const Pack* packs_ = nullptr;
  const Id* ids_ = nullptr;
  const Place* places_ = nullptr;
};
using IndexSegmentPtr = std::shared_ptr<const IndexSegment>;

// Collects the packs of one index file, checks them and makes the segment. May be used again after finish()
// or reset(); keeps its memory for that. Not thread-safe.
class IndexSegmentBuilder {
 public:
  // All numbers as the file has them, not yet checked.
  struct Blob {
    Id id;
    BlobType type;
    std::uint64_t offset, length, uncompressed_length;
  };

  void reset();
  void begin_pack();
  // Throws Error{Damaged}: length < 32, offset + length or the plain size too large.
  void add_blob(const Blob& blob);
  // Sorts the pack's blobs; a blob listed twice counts once, a pack without any is forgotten. Throws
  // Error{Damaged}: all-zero id, blobs that overlap.
  void end_pack(const Id& pack);
  IndexSegmentPtr finish(const Id& file);

 private:
  void sort_last_pack(std::size_t first);
  void drop_repeats(std::size_t first);

  std::vector<IndexSegment::Pack> packs_;
  std::vector<Id> ids_;
  std::vector<IndexSegment::Place> places_;
  std::size_t pack_begin_ = 0;
  std::uint64_t plain_bytes_ = 0, stored_bytes_ = 0;
  bool in_order_ = true;
};

}  // namespace restic::repo
