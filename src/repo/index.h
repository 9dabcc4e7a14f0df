// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "repo/id.h"

namespace restic::repo {

// One blob inside one pack (FORMAT: index). `length` counts the sealed bytes, 32 at least.
struct PackedBlob {
  BlobKey key;
  std::uint32_t offset;
  std::uint32_t length;
  std::uint32_t uncompressed_length;  // 0: stored without compression
  std::uint32_t plain_size() const { return uncompressed_length != 0 ? uncompressed_length : length - 32; }
};

// One pack as an index file lists it; blobs ascend by offset.
struct PackEntry {
  Id pack;
  std::vector<PackedBlob> blobs;
};

// A copy of a blob: where it lies. `pack_number` is valid for the Index that returned it only.
struct BlobPlace {
  Id pack;
  std::uint32_t pack_number;
  PackedBlob blob;
};

// An index file that exists but could not be read: blobs that only it lists are missing until it can be.
struct UnreadableIndexFile {
  Id file;
  std::string reason;  // a sentence that names the file
};

// Everything all readable index files say, immutable and shared by all readers: lookups take no lock and do
// not allocate beyond the caller's vector. About 50 bytes a blob. Blobs are held in pack order, so a blob's
// neighbours are next to it.
class Index {
 public:
  virtual ~Index() = default;

  virtual std::size_t blob_count() const = 0;  // copies included
  virtual std::size_t pack_count() const = 0;
  virtual std::size_t memory_bytes() const = 0;
  virtual const std::vector<Id>& files() const = 0;  // the index files it was made of, sorted
  // The rest, sorted by file. When this is not empty, "not in the repository" is only what the others say.
  virtual const std::vector<UnreadableIndexFile>& unreadable_files() const = 0;

  virtual bool contains(const BlobKey& key) const = 0;
  virtual std::optional<std::uint32_t> plain_size(const BlobKey& key) const = 0;
  // Appends the copies of the blob to `places`, 64 of them at most; none: the blob is not in the repository.
  virtual void locate(const BlobKey& key, std::vector<BlobPlace>& places) const = 0;
  // Appends the blobs of a pack that overlap [begin, end), in offset order, at most `limit` of them.
  // `pack_number` is one that this Index gave out. Only what the same index file says of the pack is looked
  // at.
  virtual void in_pack(std::uint32_t pack_number, std::uint64_t begin, std::uint64_t end, std::size_t limit,
                       std::vector<BlobPlace>& blobs) const = 0;
  // What all blobs have in plain, and what they take up in packs; each copy counts: for statfs and `.status`.
  virtual std::uint64_t total_plain_bytes() const = 0;
  virtual std::uint64_t total_stored_bytes() const = 0;
};

}  // namespace restic::repo
