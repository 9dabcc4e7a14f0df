// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "repo/id.h"
#include "repo/index_segment.h"

namespace restic::repo {

// Where decoded index files are kept between mounts. Never fails: what cannot be had is simply not there.
// Thread-safe.
class IndexCache {
 public:
  virtual ~IndexCache() = default;

  // Every segment it has, in no order. Blocks on the local disk and uses the pool it was made with.
  virtual std::vector<IndexSegmentPtr> load() = 0;
  // Adds segments and drops all but those of `files`, some time later on a thread of its own; returns at
  // once.
  virtual void store(std::vector<IndexSegmentPtr> added, std::vector<Id> files) = 0;
};

}  // namespace restic::repo
