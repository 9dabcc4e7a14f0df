// SPDX-License-Identifier: MIT
#include "repo/fetch_plan.h"

#include <algorithm>
#include <numeric>

namespace restic::repo {
namespace {

constexpr std::uint64_t kWasteDivisor = 16;

std::uint64_t end_of(const transport::ByteRange& range) { return range.offset + range.length; }

// A range while it grows over blobs in offset order.
struct GrowingRange {
  PlannedRange planned;
  std::uint64_t wanted_bytes = 0;
  std::uint64_t unwanted_bytes = 0;

  bool takes(const BlobPlace& place, const FetchLimits& limits) const {
    const std::uint64_t offset = place.blob.offset, length = place.blob.length;
    if (place.pack != planned.pack || offset < end_of(planned.range)) return false;
    const std::uint64_t gap = offset - end_of(planned.range);
    const std::uint64_t allowed = std::max(limits.slack_bytes, (wanted_bytes + length) / kWasteDivisor);
    return gap <= limits.gap_bytes && unwanted_bytes + gap <= allowed &&
           offset + length - planned.range.offset <= limits.range_bytes;
  }

  void add(const BlobPlace& place, std::size_t position) {
    unwanted_bytes += place.blob.offset - end_of(planned.range);
    wanted_bytes += place.blob.length;
    planned.range.length = std::uint64_t{place.blob.offset} + place.blob.length - planned.range.offset;
    planned.blobs.push_back(position);
  }
};

}  // namespace

FetchLimits fetch_limits(std::chrono::microseconds round_trip) {
  // At 100 MB/s, the rate of a gigabit line, this many bytes pass in one round trip.
  constexpr std::uint64_t kBytesPerMicrosecond = 100;
  constexpr std::uint64_t kSmallestGap = 16U << 10U, kLargestGap = 1U << 20U;
  constexpr std::chrono::microseconds kLocal{1000};
  const auto micros = static_cast<std::uint64_t>(std::clamp<std::int64_t>(round_trip.count(), 0, 1'000'000));
  FetchLimits limits;
  limits.gap_bytes = std::clamp(micros * kBytesPerMicrosecond, kSmallestGap, kLargestGap);
  limits.slack_bytes = std::min<std::uint64_t>(2 * limits.gap_bytes, 256U << 10U);
  if (round_trip > kLocal) limits.range_bytes = 4U << 20U;
  return limits;
}

std::vector<PlannedRange> plan_fetch(std::span<const BlobPlace> wanted, const FetchLimits& limits) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (wanted[a].pack != wanted[b].pack) return wanted[a].pack < wanted[b].pack;
    return wanted[a].blob.offset < wanted[b].blob.offset;
  });

  std::vector<GrowingRange> ranges;
  for (const std::size_t position : order) {
    const BlobPlace& place = wanted[position];
    if (ranges.empty() || !ranges.back().takes(place, limits)) {
      ranges.push_back({{place.pack, {place.blob.offset, 0}, {}}});
    }
    ranges.back().add(place, position);
  }

  std::vector<std::pair<std::size_t, std::size_t>> by_first_asked;  // (smallest position, range)
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& blobs = ranges[i].planned.blobs;
    by_first_asked.emplace_back(*std::min_element(blobs.begin(), blobs.end()), i);
  }
  std::sort(by_first_asked.begin(), by_first_asked.end());
  std::vector<PlannedRange> planned;
  planned.reserve(ranges.size());
  for (const auto& [first, i] : by_first_asked) planned.push_back(std::move(ranges[i].planned));
  return planned;
}

}  // namespace restic::repo
