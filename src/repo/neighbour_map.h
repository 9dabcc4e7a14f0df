// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "repo/id.h"

namespace restic::repo {

// Remembers which stretch of a pack was asked for ahead, so that a reader who goes from blob to blob asks for
// each neighbour once, and in pieces worth a request. Knows the packs used last. Thread-safe, never blocks.
class NeighbourMap {
 public:
  struct Stretch {
    std::uint64_t begin = 0, end = 0;
    bool empty() const { return begin >= end; }
  };
  struct Wish {
    Stretch behind, beyond;  // of the blob, not asked for so far
  };

  // What to ask for around the blob at [begin, end) so that `bytes` on either side are covered. A side that
  // is covered for half of that is left alone. `fetched` false: the blob itself had to be asked for, so what
  // is remembered of the stretch around it is out of date.
  Wish wish(const Id& pack, Stretch blob, std::uint64_t bytes, bool fetched);
  // A stretch next to what is known of the pack was asked for.
  void asked(const Id& pack, Stretch stretch);

 private:
  static constexpr std::size_t kMostPacks = 64;

  struct Known {
    Id pack;
    Stretch covered;
  };
  using Order = std::list<Known>;

  std::mutex mutex_;
  Order order_;  // the pack used last comes first
  std::unordered_map<Id, Order::iterator, IdHash> known_;
};

}  // namespace restic::repo
