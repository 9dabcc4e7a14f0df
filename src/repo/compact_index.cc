// SPDX-License-Identifier: MIT
#include "repo/compact_index.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <new>
#include <utility>

#include "base/error.h"
#include "repo/cpu_pool.h"

namespace restic::repo {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kMostBlobs = 0xfffffffeU;

// The segment whose numbers, starting at first[i], include `number`.
std::size_t segment_of(const std::vector<std::uint32_t>& first, std::uint32_t number) {
  return static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), number) - first.begin()) - 1;
}

}  // namespace

CompactIndex::CompactIndex(std::vector<IndexSegmentPtr> segments, std::vector<UnreadableIndexFile> unreadable,
                           CpuPool& pool)
    : segments_(std::move(segments)), unreadable_(std::move(unreadable)) {
  std::sort(segments_.begin(), segments_.end(),
            [](const auto& left, const auto& right) { return left->file() < right->file(); });
  std::sort(unreadable_.begin(), unreadable_.end(),
            [](const auto& left, const auto& right) { return left.file < right.file; });
  std::uint64_t blobs = 0;
  for (const IndexSegmentPtr& segment : segments_) {
    first_blob_.push_back(static_cast<std::uint32_t>(blobs));
    first_pack_.push_back(static_cast<std::uint32_t>(pack_count_));
    files_.push_back(segment->file());
    blobs += segment->blob_count();
    pack_count_ += segment->pack_count();
    plain_bytes_ += segment->total_plain_bytes();
    stored_bytes_ += segment->total_stored_bytes();
    if (blobs > kMostBlobs) throw Error(Errc::Damaged, "the index lists more blobs than can be numbered");
  }
  number_mask_ = static_cast<std::uint32_t>((1ULL << std::bit_width(blobs)) - 1);
  slot_count_ = blobs + blobs / 3 + 2;
  slots_.reset(static_cast<std::uint32_t*>(std::calloc(slot_count_, sizeof(std::uint32_t))));
  if (!slots_) throw std::bad_alloc();
  build(pool);
}

CompactIndex::Hash CompactIndex::hash(const Id& id) const {
  const std::uint64_t mixed = hash_of_id_(id.bytes);
  return {.slot = static_cast<std::uint64_t>((Wide{mixed} * slot_count_) >> 64U),
          .tag = static_cast<std::uint32_t>(mixed) & ~number_mask_};
}

CompactIndex::Position CompactIndex::blob_at(std::uint32_t number) const {
  const std::size_t segment = segment_of(first_blob_, number);
  return {.segment = segments_[segment].get(),
          .number = number - first_blob_[segment],
          .segment_number = segment};
}

BlobPlace CompactIndex::place(const Position& blob) const {
  const std::uint32_t pack = blob.segment->pack_of(blob.number);
  return {.pack = blob.segment->pack_id(pack),
          .pack_number = first_pack_[blob.segment_number] + pack,
          .blob = blob.segment->blob(blob.number)};
}

bool CompactIndex::same_place(const Position& left, const Position& right) const {
  const PackedBlob a = left.segment->blob(left.number);
  const PackedBlob b = right.segment->blob(right.number);
  return a.offset == b.offset && a.length == b.length && a.uncompressed_length == b.uncompressed_length &&
         left.segment->pack_id(left.segment->pack_of(left.number)) ==
             right.segment->pack_id(right.segment->pack_of(right.number));
}

void CompactIndex::build(CpuPool& pool) {
  struct Piece {
    std::size_t segment;
    std::uint32_t begin, end;
  };
  constexpr std::uint32_t kPieceBlobs = 16384;
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const std::uint32_t count = segments_[i]->blob_count();
    for (std::uint32_t begin = 0; begin < count; begin += kPieceBlobs) {
      pieces.push_back({.segment = i, .begin = begin, .end = std::min(count, begin + kPieceBlobs)});
    }
  }
  std::atomic<std::size_t> entered{0};
  pool.for_each(pieces.size(),
                [&](std::size_t i) { entered += enter(pieces[i].segment, pieces[i].begin, pieces[i].end); });
  entered_ = entered;
}

std::size_t CompactIndex::enter(std::size_t segment, std::uint32_t begin, std::uint32_t end) {
  // The slots of a few blobs are asked for before the first is needed: the table is larger than any cache.
  constexpr std::uint32_t kAhead = 16;
  Hash hashes[kAhead];
  std::size_t entered = 0;
  const IndexSegment& blobs = *segments_[segment];
  for (std::uint32_t at = begin; at < end; at += kAhead) {
    const std::uint32_t count = std::min(kAhead, end - at);
    for (std::uint32_t i = 0; i < count; ++i) {
      hashes[i] = hash(blobs.id(at + i));
      __builtin_prefetch(&slots_[hashes[i].slot], 1);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      const Position blob{.segment = &blobs, .number = at + i, .segment_number = segment};
      if (enter(blob, first_blob_[segment] + at + i, hashes[i])) ++entered;
    }
  }
  return entered;
}

bool CompactIndex::enter(const Position& blob, std::uint32_t number, const Hash& hash) {
  // Threads enter blobs at the same time. Slots are only ever filled, so two copies of one blob meet in the
  // same chain: whoever comes second, or loses the race for a slot, sees the other.
  std::size_t copies = 0;
  for (std::uint64_t slot = hash.slot;; slot = slot + 1 == slot_count_ ? 0 : slot + 1) {
    std::atomic_ref<std::uint32_t> entry(slots_[slot]);
    std::uint32_t seen = entry.load(std::memory_order_relaxed);
    if (seen == 0 &&
        entry.compare_exchange_strong(seen, (number + 1) | hash.tag, std::memory_order_relaxed)) {
      return true;
    }
    if ((seen & ~number_mask_) != hash.tag) continue;
    const Position other = blob_at((seen & number_mask_) - 1);
    if (other.segment->id(other.number) != blob.segment->id(blob.number) ||
        other.segment->type(other.number) != blob.segment->type(blob.number)) {
      continue;
    }
    if (same_place(other, blob) || ++copies == kMostCopies) return false;
  }
}

template <class Each>
void CompactIndex::for_each_copy(const BlobKey& key, const Each& each) const {
  const Hash wanted = hash(key.id);
  for (std::uint64_t slot = wanted.slot; slots_[slot] != 0; slot = slot + 1 == slot_count_ ? 0 : slot + 1) {
    if ((slots_[slot] & ~number_mask_) != wanted.tag) continue;
    const Position blob = blob_at((slots_[slot] & number_mask_) - 1);
    if (blob.segment->id(blob.number) != key.id || blob.segment->type(blob.number) != key.type) continue;
    if (!each(blob)) return;
  }
}

std::size_t CompactIndex::memory_bytes() const {
  std::size_t total = slot_count_ * sizeof(std::uint32_t);
  for (const IndexSegmentPtr& segment : segments_) total += sizeof(IndexSegment) + segment->block().size();
  return total;
}

bool CompactIndex::contains(const BlobKey& key) const {
  bool found = false;
  for_each_copy(key, [&](const Position&) {
    found = true;
    return false;
  });
  return found;
}

std::optional<std::uint32_t> CompactIndex::plain_size(const BlobKey& key) const {
  std::optional<std::uint32_t> size;
  for_each_copy(key, [&](const Position& blob) {
    size = blob.segment->blob(blob.number).plain_size();
    return false;
  });
  return size;
}

void CompactIndex::locate(const BlobKey& key, std::vector<BlobPlace>& places) const {
  for_each_copy(key, [&](const Position& blob) {
    places.push_back(place(blob));
    return true;
  });
}

void CompactIndex::in_pack(std::uint32_t pack_number, std::uint64_t begin, std::uint64_t end,
                           std::size_t limit, std::vector<BlobPlace>& blobs) const {
  const std::size_t number = segment_of(first_pack_, pack_number);
  const IndexSegment& segment = *segments_[number];
  const std::uint32_t pack = pack_number - first_pack_[number];
  const IndexSegment::BlobRange range = segment.blobs_of(pack);
  std::uint32_t low = range.begin, high = range.end;
  while (low < high) {  // the first blob that ends after `begin`
    const std::uint32_t middle = low + (high - low) / 2;
    const PackedBlob blob = segment.blob(middle);
    if (std::uint64_t{blob.offset} + blob.length > begin) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  for (; low < range.end && limit > 0; ++low, --limit) {
    const PackedBlob blob = segment.blob(low);
    if (blob.offset >= end) return;
    blobs.push_back({.pack = segment.pack_id(pack), .pack_number = pack_number, .blob = blob});
  }
}

}  // namespace restic::repo
