// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "repo/blob_cache.h"
#include "repo/gate.h"
#include "repo/id.h"
#include "transport/backend.h"

namespace restic::repo {

// Memory that a load holds, from its start until the last copy of this is gone; then the next load may start.
using MemoryHold = std::shared_ptr<void>;
using RangeArrived = std::function<void(Result<Bytes>, MemoryHold)>;

// One range of one pack on its way. Made by its owner, then submitted once.
struct RangeLoad {
  Id pack;
  transport::ByteRange range;
  std::uint64_t memory = 0;  // bytes that it and what is decoded from it take
  transport::Urgency urgency = transport::Urgency::Demand;
  bool started = false;            // the loader's own
  RangeArrived arrived;            // called once on a thread of the backend's; must not block or throw
  transport::OnArriving arriving;  // may be null; called before, also when the loader is gone
};
using RangeLoadPtr = std::shared_ptr<RangeLoad>;

// Keeps as many loads in flight as memory and the backend make useful: loads in demand before those ahead, in
// the order of their submission. What is in flight is reserved in `memory` and takes at most three quarters
// of it, loads ahead at most a half; but one load can always run, whatever its size. Thread-safe; never
// blocks.
class RangeLoader {
 public:
  // `gate` belongs to the owner, who closes it before the loader goes; nothing arrives after that.
  RangeLoader(transport::Backend& backend, BlobCache& memory, std::shared_ptr<Gate> gate);
  RangeLoader(const RangeLoader&) = delete;
  RangeLoader& operator=(const RangeLoader&) = delete;

  void submit(std::span<const RangeLoadPtr> loads);
  // Somebody waits for it now: unless it has started it belongs to those in demand, now or once it is
  // submitted.
  void hurry(const RangeLoadPtr& load);
  // Forgets what is queued and starts nothing more.
  void stop();

  // Memory of the loads ahead, queued or in flight.
  std::uint64_t ahead_bytes() const;
  std::uint64_t requests() const { return requests_; }
  std::uint64_t fetched_bytes() const { return fetched_bytes_; }

 private:
  void start_what_fits();
  bool fits(const RangeLoad& load) const;
  void start(const RangeLoadPtr& load);
  void finished(std::uint64_t memory, bool ahead);

  transport::Backend& backend_;
  BlobCache& memory_;
  const std::shared_ptr<Gate> gate_;
  const std::size_t most_ahead_;

  mutable std::mutex mutex_;
  std::deque<RangeLoadPtr> demand_, ahead_;
  bool stopped_ = false;
  std::size_t running_ = 0, running_ahead_ = 0;
  std::uint64_t running_bytes_ = 0, running_ahead_bytes_ = 0, queued_ahead_bytes_ = 0;
  std::atomic<std::uint64_t> requests_{0}, fetched_bytes_{0};
};

}  // namespace restic::repo
