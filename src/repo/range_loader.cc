// SPDX-License-Identifier: MIT
#include "repo/range_loader.h"

#include <algorithm>
#include <string>
#include <utility>

namespace restic::repo {

using transport::Urgency;

namespace {

// Whoever decodes the bytes counts on the number of them, so one more look than the backend's own is due.
Result<Bytes> exactly(const transport::ByteRange& range, Result<Bytes> bytes) {
  if (!bytes.ok() || bytes.value().size() == range.length) return bytes;
  return Error(Errc::Damaged, "the storage gave " + std::to_string(bytes.value().size()) + " bytes of " +
                                  std::to_string(range.length));
}

}  // namespace

RangeLoader::RangeLoader(transport::Backend& backend, BlobCache& memory, std::shared_ptr<Gate> gate)
    : backend_(backend),
      memory_(memory),
      gate_(std::move(gate)),
      most_ahead_(std::max(1U, backend.parallelism())) {}

void RangeLoader::submit(std::span<const RangeLoadPtr> loads) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    for (const RangeLoadPtr& load : loads) {
      if (load->urgency == Urgency::Demand) {
        demand_.push_back(load);
      } else {
        ahead_.push_back(load);
        queued_ahead_bytes_ += load->memory;
      }
    }
  }
  start_what_fits();
}

void RangeLoader::hurry(const RangeLoadPtr& load) {
  {
    std::lock_guard lock(mutex_);
    if (load->started || load->urgency == Urgency::Demand) return;
    load->urgency = Urgency::Demand;
    const auto queued = std::find(ahead_.begin(), ahead_.end(), load);
    if (queued == ahead_.end()) return;
    ahead_.erase(queued);
    queued_ahead_bytes_ -= load->memory;
    demand_.push_back(load);
  }
  start_what_fits();
}

void RangeLoader::stop() {
  std::deque<RangeLoadPtr> forgotten;
  std::lock_guard lock(mutex_);
  stopped_ = true;
  demand_.swap(forgotten);
  std::move(ahead_.begin(), ahead_.end(), std::back_inserter(forgotten));
  ahead_.clear();
  queued_ahead_bytes_ = 0;
}

std::uint64_t RangeLoader::ahead_bytes() const {
  std::lock_guard lock(mutex_);
  return queued_ahead_bytes_ + running_ahead_bytes_;
}

bool RangeLoader::fits(const RangeLoad& load) const {
  if (running_ == 0) return true;
  if (running_bytes_ + load.memory > memory_.capacity() / 4 * 3) return false;
  return load.urgency == Urgency::Demand ||
         (running_ahead_ < most_ahead_ && running_ahead_bytes_ + load.memory <= memory_.capacity() / 2);
}

void RangeLoader::start_what_fits() {
  std::vector<RangeLoadPtr> starting;
  {
    std::lock_guard lock(mutex_);
    while (!demand_.empty() || !ahead_.empty()) {
      std::deque<RangeLoadPtr>& queue = demand_.empty() ? ahead_ : demand_;
      const RangeLoadPtr& load = queue.front();
      if (!fits(*load)) break;
      load->started = true;
      ++running_;
      running_bytes_ += load->memory;
      memory_.reserve(load->memory);
      if (load->urgency == Urgency::Ahead) {
        ++running_ahead_;
        running_ahead_bytes_ += load->memory;
        queued_ahead_bytes_ -= load->memory;
      }
      starting.push_back(load);
      queue.pop_front();
    }
  }
  for (const RangeLoadPtr& load : starting) start(load);
}

void RangeLoader::start(const RangeLoadPtr& load) {
  ++requests_;
  const transport::FileName pack{transport::FileType::Pack, load->pack.hex()};
  auto done = [this, gate = gate_, load](Result<Bytes> bytes) {
    const GatePass pass(gate);
    if (!pass) {
      if (load->arriving) load->arriving({}, 0);  // before the bytes go
      return;
    }
    const bool ahead = load->urgency == Urgency::Ahead;
    MemoryHold hold(nullptr,
                    [this, memory = load->memory, ahead](std::nullptr_t) { finished(memory, ahead); });
    bytes = exactly(load->range, std::move(bytes));
    if (bytes.ok()) fetched_bytes_ += bytes.value().size();
    const RangeArrived arrived = std::move(load->arrived);
    arrived(std::move(bytes), std::move(hold));
  };
  if (!load->arriving) return backend_.load_range(pack, load->range, load->urgency, std::move(done));
  backend_.load_range_arriving(pack, load->range, load->urgency, load->arriving, std::move(done));
}

void RangeLoader::finished(std::uint64_t memory, bool ahead) {
  {
    std::lock_guard lock(mutex_);
    --running_;
    running_bytes_ -= memory;
    if (ahead) {
      --running_ahead_;
      running_ahead_bytes_ -= memory;
    }
  }
  memory_.release(memory);
  start_what_fits();
}

}  // namespace restic::repo
