// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "repo/index.h"
#include "repo/index_segment.h"
#include "repo/seeded_hash.h"

namespace restic::repo {

class CpuPool;

// The Index: one segment an index file, and over all of them one hash table of blob numbers, about 5.4 bytes
// a blob. A newer index shares the segments that did not change. Blob and pack numbers count through all
// segments.
//
// The table is open-addressed with linear probing, three quarters full at most. What an entry's blob number
// leaves of its 32 bits holds bits of the hash, so that most blobs that are not the wanted one are passed
// over without a look at them. The hash is seeded: no list of chosen ids can make chains long, and copies
// beyond kMostCopies are not entered.
class CompactIndex final : public Index {
 public:
  static constexpr std::size_t kMostCopies = 64;

  // Builds the table on the pool with the caller's help. Segments are of different files. Throws
  // Error{Damaged} when there are more than 2^32 - 2 blobs.
  CompactIndex(std::vector<IndexSegmentPtr> segments, std::vector<UnreadableIndexFile> unreadable,
               CpuPool& pool);

  const std::vector<IndexSegmentPtr>& segments() const { return segments_; }  // sorted by file

  std::size_t blob_count() const override { return entered_; }
  std::size_t pack_count() const override { return pack_count_; }
  std::size_t memory_bytes() const override;
  const std::vector<Id>& files() const override { return files_; }
  const std::vector<UnreadableIndexFile>& unreadable_files() const override { return unreadable_; }
  bool contains(const BlobKey& key) const override;
  std::optional<std::uint32_t> plain_size(const BlobKey& key) const override;
  void locate(const BlobKey& key, std::vector<BlobPlace>& places) const override;
  void in_pack(std::uint32_t pack_number, std::uint64_t begin, std::uint64_t end, std::size_t limit,
               std::vector<BlobPlace>& blobs) const override;
  std::uint64_t total_plain_bytes() const override { return plain_bytes_; }
  std::uint64_t total_stored_bytes() const override { return stored_bytes_; }

 private:
  // A blob or a pack by its segment and its number there.
  struct Position {
    const IndexSegment* segment;
    std::uint32_t number;
    std::size_t segment_number;
  };
  struct Hash {
    std::uint64_t slot;
    std::uint32_t tag;
  };
  struct Free {
    void operator()(std::uint32_t* slots) const { std::free(slots); }
  };

  Hash hash(const Id& id) const;
  Position blob_at(std::uint32_t number) const;
  BlobPlace place(const Position& blob) const;
  bool same_place(const Position& left, const Position& right) const;
  void build(CpuPool& pool);
  std::size_t enter(std::size_t segment, std::uint32_t begin, std::uint32_t end);
  bool enter(const Position& blob, std::uint32_t number, const Hash& hash);
  // Calls each(Position) for every entry with the id and type, until it returns false.
  template <class Each>
  void for_each_copy(const BlobKey& key, const Each& each) const;

  std::vector<IndexSegmentPtr> segments_;
  std::vector<std::uint32_t> first_blob_, first_pack_;  // of each segment
  std::vector<Id> files_;
  std::vector<UnreadableIndexFile> unreadable_;
  std::unique_ptr<std::uint32_t[], Free> slots_;  // 0: free; else blob number + 1 in the low bits, tag above
  std::uint64_t slot_count_ = 0;
  std::uint32_t number_mask_ = 0;
  const SeededHash hash_of_id_;
  std::size_t entered_ = 0, pack_count_ = 0;
  std::uint64_t plain_bytes_ = 0, stored_bytes_ = 0;
};

}  // namespace restic::repo
