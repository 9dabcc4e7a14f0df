// SPDX-License-Identifier: MIT
#include "repo/chunker.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace restic::repo {
namespace {

constexpr unsigned kDegree = 53;
constexpr unsigned kTopShift = kDegree - 8;
constexpr std::size_t kWindow = ChunkerLanes::kWindow;
constexpr std::uint64_t kCutMask = (1U << 20U) - 1;

// Each byte waits for the one before it through a table; several places in the data at once keep the core
// busy, as many as it has registers for.
constexpr std::size_t kLanes = 6;
constexpr std::size_t kLaneBytes = 8U << 10U;
constexpr std::size_t kNone = 0;  // no chunk is empty

// Of ChunkerLanes. So many that the first 64 bytes of each lane, which only fill its window, do not count,
// and so few that they are in the cache, over all of which an odd multiple of a cache line spreads the lanes.
constexpr std::size_t kMostSteps = 17 * kWindow;
constexpr std::size_t kLeastSteps = kWindow;

std::uint64_t reduce(std::uint64_t value, std::uint64_t polynomial) {
  while (std::bit_width(value) > kDegree) value ^= polynomial << (std::bit_width(value) - 1 - kDegree);
  return value;
}

}  // namespace

Chunker::Chunker(std::uint64_t polynomial, Means means) {
  if (std::bit_width(polynomial) != kDegree + 1) {
    throw Error(Errc::Unsupported, "the repository's chunker polynomial does not have degree 53");
  }
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    mod_[byte] = reduce(byte << kDegree, polynomial) | (byte << kDegree);
    std::uint64_t value = byte;
    for (std::size_t i = 1; i < kWindow; ++i) value = reduce(value << 8U, polynomial);
    out_[byte] = value;
    gone_[byte] = reduce(value << 8U, polynomial);
  }
  if (means == Means::Best && ChunkerLanes::available()) {
    Table reduced = mod_;
    for (std::uint64_t& entry : reduced) entry &= (std::uint64_t{1} << kDegree) - 1;
    lanes_.emplace(reduced, gone_);
  }
}

std::optional<std::size_t> Chunker::find_end(ByteView data, std::size_t seen) const {
  const std::size_t first = std::max(kMinSize, seen + 1);
  const std::size_t last = std::min(kMaxSize, data.size());
  if (first > last) return std::nullopt;
  std::size_t place = first;
  const auto left = [&] { return last + 1 - place; };
  while (lanes_ && left() >= kLeastSteps * ChunkerLanes::kLanes) {
    const std::size_t steps = std::min(left() / ChunkerLanes::kLanes, kMostSteps) / kWindow * kWindow;
    if (const std::size_t end = lanes_->scan(data.data(), place - 1, steps); end != kNone) return end;
    place += steps * ChunkerLanes::kLanes;
  }
  while (left() > kLanes * kLaneBytes) {
    if (const std::size_t end = scan_lanes(data.data(), place); end != kNone) return end;
    place += kLanes * kLaneBytes;
  }
  if (const std::size_t end = scan(data.data(), place, last); end != kNone) return end;
  if (last == kMaxSize) return kMaxSize;
  return std::nullopt;
}

// The fingerprint of the 64 bytes before `end`.
std::uint64_t Chunker::fingerprint(const std::uint8_t* end) const {
  std::uint64_t digest = 0;
  for (const std::uint8_t* byte = end - kWindow; byte != end; ++byte) {
    digest = (digest << 8U | *byte) ^ mod_[digest >> kTopShift];
  }
  return digest;
}

// The first size in [first, last] at which the chunk may end.
std::size_t Chunker::scan(const std::uint8_t* data, std::size_t first, std::size_t last) const {
  if (first > last) return kNone;
  std::uint64_t digest = fingerprint(data + first);
  for (std::size_t size = first;; ++size) {
    if ((digest & kCutMask) == 0) return size;
    if (size == last) return kNone;
    digest = (digest << 8U) ^ mod_[digest >> kTopShift] ^ gone_[data[size - kWindow]] ^ data[size];
  }
}

// The end that lane `lane` has found `at` bytes into it, or an earlier one that the lanes before it would
// still find in what they have left.
std::size_t Chunker::first_hit(const std::uint8_t* data, std::size_t first, std::size_t lane,
                               std::size_t at) const {
  for (std::size_t earlier = 0; earlier < lane; ++earlier) {
    const std::size_t begin = first + earlier * kLaneBytes;
    if (const std::size_t end = scan(data, begin + at, begin + kLaneBytes - 1); end != kNone) return end;
  }
  return first + lane * kLaneBytes + at;
}

// The same for the kLanes * kLaneBytes sizes from `first` on, all lanes side by side.
std::size_t Chunker::scan_lanes(const std::uint8_t* data, std::size_t first) const {
  static_assert(kLanes == 6);
  const std::uint8_t* const at0 = data + first;
  const std::uint8_t* const at1 = at0 + kLaneBytes;
  const std::uint8_t* const at2 = at1 + kLaneBytes;
  const std::uint8_t* const at3 = at2 + kLaneBytes;
  const std::uint8_t* const at4 = at3 + kLaneBytes;
  const std::uint8_t* const at5 = at4 + kLaneBytes;
  std::uint64_t d0 = fingerprint(at0);
  std::uint64_t d1 = fingerprint(at1);
  std::uint64_t d2 = fingerprint(at2);
  std::uint64_t d3 = fingerprint(at3);
  std::uint64_t d4 = fingerprint(at4);
  std::uint64_t d5 = fingerprint(at5);
  const auto slide = [this](std::uint64_t digest, const std::uint8_t* at, std::size_t i) {
    return (digest << 8U) ^ mod_[digest >> kTopShift] ^ (gone_[*(at + i - kWindow)] ^ at[i]);
  };
  for (std::size_t i = 0; i < kLaneBytes; ++i) {
    if ((d0 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 0, i);
    if ((d1 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 1, i);
    if ((d2 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 2, i);
    if ((d3 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 3, i);
    if ((d4 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 4, i);
    if ((d5 & kCutMask) == 0) [[unlikely]]
      return first_hit(data, first, 5, i);
    d0 = slide(d0, at0, i);
    d1 = slide(d1, at1, i);
    d2 = slide(d2, at2, i);
    d3 = slide(d3, at3, i);
    d4 = slide(d4, at4, i);
    d5 = slide(d5, at5, i);
  }
  return kNone;
}

}  // namespace restic::repo
