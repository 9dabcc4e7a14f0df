// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "repo/index.h"
#include "transport/backend.h"

namespace restic::repo {

// What a storage makes worth while. All in bytes.
struct FetchLimits {
  std::uint64_t gap_bytes = 16U << 10U;    // unwanted bytes between two wanted blobs that are fetched along
  std::uint64_t slack_bytes = 32U << 10U;  // unwanted bytes that any range may have; more only in proportion
  std::uint64_t range_bytes = 1U << 20U;   // no range grows beyond this by merging; a larger blob goes alone
};

// Limits for a storage that answers the smallest request in `round_trip`: the longer the line, the more bytes
// cost less than another request. Ranges stay small enough that several are in flight and the first is
// decoded early.
FetchLimits fetch_limits(std::chrono::microseconds round_trip);

// One request to the backend. `blobs` are positions in the planned list, ascending by offset.
struct PlannedRange {
  Id pack;
  transport::ByteRange range;
  std::vector<std::size_t> blobs;
};

// Merges wanted places into ranges: never across packs, never with overlapping blobs in one range (each is
// decoded in place), and with unwanted bytes of at most `slack_bytes` or a sixteenth of the range's wanted
// bytes, whichever is more. Ranges come in the order in which their first blob was asked for. Pure.
std::vector<PlannedRange> plan_fetch(std::span<const BlobPlace> wanted, const FetchLimits& limits);

}  // namespace restic::repo
