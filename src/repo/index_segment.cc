// SPDX-License-Identifier: MIT
#include "repo/index_segment.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "repo/crypto.h"

namespace restic::repo {

namespace {

constexpr std::uint32_t kTreeBit = 0x80000000U;
constexpr std::uint64_t kPackLimit = 1ULL << 32U;

}  // namespace

std::optional<std::size_t> IndexSegment::block_size(std::uint64_t packs, std::uint64_t blobs) {
  if (packs > blobs || blobs >= kTreeBit) return std::nullopt;
  return sizeof(Header) + packs * sizeof(Pack) + blobs * (sizeof(Id) + sizeof(Place));
}

IndexSegment::IndexSegment(Bytes block) : block_(std::move(block)) {
  static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 56);
  static_assert(sizeof(Pack) == 36 && sizeof(Id) == 32 && sizeof(Place) == 12);
  Header header;
  std::memcpy(&header, block_.data(), sizeof header);
  blob_count_ = header.blob_count;
  pack_count_ = header.pack_count;
  plain_bytes_ = header.plain_bytes;
  stored_bytes_ = header.stored_bytes;
  // The block comes from operator new and every part is a multiple of 4 bytes long: all of them are aligned.
  const std::uint8_t* at = block_.data() + sizeof(Header);
  packs_ = reinterpret_cast<const Pack*>(at);
  at += std::size_t{pack_count_} * sizeof(Pack);
  ids_ = reinterpret_cast<const Id*>(at);
  at += std::size_t{blob_count_} * sizeof(Id);
  places_ = reinterpret_cast<const Place*>(at);
}

std::optional<IndexSegment> IndexSegment::from_block(Bytes block) {
  Header header;
  if (block.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, block.data(), sizeof header);
  if (block_size(header.pack_count, header.blob_count) != block.size()) return std::nullopt;
  IndexSegment segment(std::move(block));
  std::uint32_t blobs_so_far = 0;
  for (std::uint32_t pack = 0; pack < segment.pack_count_; ++pack) {
    const std::uint32_t first = segment.packs_[pack].first_blob;
    if (pack == 0 ? first != 0 : first <= blobs_so_far) return std::nullopt;
    blobs_so_far = first;
  }
  if (segment.pack_count_ == 0 ? segment.blob_count_ != 0 : blobs_so_far >= segment.blob_count_) {
    return std::nullopt;
  }
  return segment;
}

const Id& IndexSegment::file() const { return reinterpret_cast<const Header*>(block_.data())->file; }

BlobType IndexSegment::type(std::uint32_t blob) const {
  return (places_[blob].uncompressed_and_type & kTreeBit) != 0 ? BlobType::Tree : BlobType::Data;
}

PackedBlob IndexSegment::blob(std::uint32_t blob) const {
  const Place& place = places_[blob];
  return {.key = {.type = type(blob), .id = ids_[blob]},
          .offset = place.offset,
          .length = place.length,
          .uncompressed_length = place.uncompressed_and_type & ~kTreeBit};
}

std::uint32_t IndexSegment::pack_of(std::uint32_t blob) const {
  const auto packs = std::span(packs_, pack_count_);
  const auto after =
      std::upper_bound(packs.begin(), packs.end(), blob,
                       [](std::uint32_t number, const Pack& pack) { return number < pack.first_blob; });
  return static_cast<std::uint32_t>(after - packs.begin() - 1);
}

IndexSegment::BlobRange IndexSegment::blobs_of(std::uint32_t pack) const {
  return {.begin = packs_[pack].first_blob,
          .end = pack + 1 < pack_count_ ? packs_[pack + 1].first_blob : blob_count_};
}

void IndexSegmentBuilder::reset() {
  packs_.clear();
  ids_.clear();
  places_.clear();
  plain_bytes_ = stored_bytes_ = 0;
  begin_pack();
}

void IndexSegmentBuilder::begin_pack() {
  pack_begin_ = ids_.size();
  in_order_ = true;
}

void IndexSegmentBuilder::add_blob(const Blob& blob) {
  if (blob.length < kSealOverhead) throw Error(Errc::Damaged, "a blob is shorter than its seal");
  if (blob.length >= kPackLimit || blob.offset >= kPackLimit || blob.offset + blob.length >= kPackLimit) {
    throw Error(Errc::Damaged, "a blob lies beyond 4 GiB in its pack");
  }
  const std::uint64_t plain =
      blob.uncompressed_length != 0 ? blob.uncompressed_length : blob.length - kSealOverhead;
  if (plain > IndexSegment::kMostUncompressed) throw Error(Errc::Damaged, "a blob is larger than 2 GiB");
  if (ids_.size() + 1 >= kTreeBit) throw Error(Errc::Damaged, "it lists more blobs than can be numbered");
  if (ids_.size() > pack_begin_ && places_.back().offset >= blob.offset) in_order_ = false;
  ids_.push_back(blob.id);
  places_.push_back({.offset = static_cast<std::uint32_t>(blob.offset),
                     .length = static_cast<std::uint32_t>(blob.length),
                     .uncompressed_and_type = static_cast<std::uint32_t>(blob.uncompressed_length) |
                                              (blob.type == BlobType::Tree ? kTreeBit : 0)});
  plain_bytes_ += plain;
  stored_bytes_ += blob.length;
}

void IndexSegmentBuilder::sort_last_pack(std::size_t first) {
  std::vector<std::size_t> order(ids_.size() - first);
  std::iota(order.begin(), order.end(), first);
  std::sort(order.begin(), order.end(), [this](std::size_t left, std::size_t right) {
    return places_[left].offset < places_[right].offset;
  });
  std::vector<Id> ids(order.size());
  std::vector<IndexSegment::Place> places(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    ids[i] = ids_[order[i]];
    places[i] = places_[order[i]];
  }
  std::copy(ids.begin(), ids.end(), ids_.begin() + static_cast<std::ptrdiff_t>(first));
  std::copy(places.begin(), places.end(), places_.begin() + static_cast<std::ptrdiff_t>(first));
}

void IndexSegmentBuilder::drop_repeats(std::size_t first) {
  std::size_t kept = first;
  for (std::size_t i = first + 1; i < ids_.size(); ++i) {
    const IndexSegment::Place& last = places_[kept];
    const IndexSegment::Place& next = places_[i];
    if (ids_[i] == ids_[kept] && next.offset == last.offset && next.length == last.length &&
        next.uncompressed_and_type == last.uncompressed_and_type) {
      stored_bytes_ -= next.length;
      const std::uint32_t uncompressed = next.uncompressed_and_type & ~kTreeBit;
      plain_bytes_ -= uncompressed != 0 ? uncompressed : next.length - kSealOverhead;
      continue;
    }
    ++kept;
    ids_[kept] = ids_[i];
    places_[kept] = next;
  }
  ids_.resize(kept + 1);
  places_.resize(kept + 1);
}

void IndexSegmentBuilder::end_pack(const Id& pack) {
  if (pack.is_zero()) throw Error(Errc::Damaged, "a pack has no id");
  if (ids_.size() == pack_begin_) return;
  if (!in_order_) {
    sort_last_pack(pack_begin_);
    drop_repeats(pack_begin_);
  }
  for (std::size_t i = pack_begin_ + 1; i < places_.size(); ++i) {
    if (places_[i - 1].offset + places_[i - 1].length > places_[i].offset) {
      throw Error(Errc::Damaged, "blobs of pack " + pack.short_hex() + " overlap");
    }
  }
  packs_.push_back({.id = pack, .first_blob = static_cast<std::uint32_t>(pack_begin_)});
  begin_pack();
}

IndexSegmentPtr IndexSegmentBuilder::finish(const Id& file) {
  const IndexSegment::Header header{.file = file,
                                    .pack_count = static_cast<std::uint32_t>(packs_.size()),
                                    .blob_count = static_cast<std::uint32_t>(ids_.size()),
                                    .plain_bytes = plain_bytes_,
                                    .stored_bytes = stored_bytes_};
  Bytes block;
  block.resize(IndexSegment::block_size(packs_.size(), ids_.size()).value());
  std::uint8_t* at = block.data();
  const auto append = [&at](const void* from, std::size_t size) {
    if (size != 0) std::memcpy(at, from, size);
    at += size;
  };
  append(&header, sizeof header);
  append(packs_.data(), packs_.size() * sizeof packs_[0]);
  append(ids_.data(), ids_.size() * sizeof ids_[0]);
  append(places_.data(), places_.size() * sizeof places_[0]);
  reset();
  return std::make_shared<const IndexSegment>(IndexSegment(std::move(block)));
}

}  // namespace restic::repo
