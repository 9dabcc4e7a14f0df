// SPDX-License-Identifier: MIT
#include "repo/arrival.h"

#include <algorithm>
#include <utility>

#include "base/as_error.h"

namespace restic::repo {
namespace {

// So much is worth the way to the pool,
constexpr std::size_t kWorthACall = 128U << 10U;
// and whoever ends an attempt waits for so much.
constexpr std::size_t kPiece = 256U << 10U;

}  // namespace

Arrival::Arrival(BlobDecoder& decoder, CpuPool* pool, std::shared_ptr<Gate> gate, const PackedBlob& blob,
                 Decoded decoded)
    : decoder_(decoder), pool_(pool), gate_(std::move(gate)), blob_(blob), decoded_(std::move(decoded)) {}

void Arrival::on(std::span<std::uint8_t> all, std::size_t arrived) noexcept {
  if (arrived == 0) {
    forget();
    try {
      if (all.size() == blob_.length) begin(all);
    } catch (const std::exception&) {
      forget();  // there is no memory: it can be opened when all is there
    }
    return;
  }
  Lock lock(mutex_);
  if (place_.empty()) return;
  arrived_ = arrived;
  if (pool_ == nullptr || arrived_ - opened_ >= kWorthACall) call(lock);
}

void Arrival::begin(std::span<std::uint8_t> all) {
  auto stay = std::make_shared<Stay>(gate_);
  if (!stay->pass) return;
  const Lock lock(mutex_);
  if (abandoned_) return;
  place_ = all;
  stay_ = std::move(stay);
}

void Arrival::forget() {
  StayPtr gone;
  Lock lock(mutex_);
  rests_.wait(lock, [this] { return !at_work_; });
  gone = leave();
  failure_.reset();
  arrived_ = opened_ = 0;
}

// With mutex_ held, nobody at work. The last use of the decoder; what it returns goes after the lock.
Arrival::StayPtr Arrival::leave() {
  opening_.reset();
  place_ = {};
  return std::exchange(stay_, nullptr);
}

bool Arrival::finish(Result<Bytes>& bytes, MemoryHold& hold) {
  {
    Lock lock(mutex_);
    if (failure_) {
      bytes = *failure_;
      return false;
    }
    if (bytes.ok() && !place_.empty() && bytes.value().data() == place_.data()) {
      stay_->bytes = std::make_shared<Bytes>(bytes.take());
      stay_->hold = std::move(hold);
      arrived_ = place_.size();
      complete_ = true;
      if (!call(lock)) work();
      return true;
    }
  }
  forget();
  return false;
}

void Arrival::abandon() {
  StayPtr gone;
  const Lock lock(mutex_);
  if (complete_) return;
  abandoned_ = true;
  place_ = {};
  if (!at_work_) gone = leave();
}

// Gives the lock back. False: there is no memory to call anybody.
bool Arrival::call(Lock& lock) {
  const bool was_called = std::exchange(called_, true);
  lock.unlock();
  if (was_called) return true;
  if (pool_ == nullptr) {
    work();
    return true;
  }
  try {
    pool_->submit([self = shared_from_this()] { self->work(); });
    return true;
  } catch (const std::exception&) {
    lock.lock();
    called_ = false;
    lock.unlock();
    return false;
  }
}

void Arrival::work() {
  Lock lock(mutex_);
  while (!place_.empty() && (opened_ < arrived_ || complete_)) {
    const std::size_t to = std::min(arrived_, opened_ + kPiece);
    const bool last = complete_ && to == arrived_;
    at_work_ = true;
    const std::span<std::uint8_t> place = place_;
    lock.unlock();
    std::optional<Error> failure = open_piece(place, to, last);
    if (failure || last) opening_.reset();  // which may hash for others
    lock.lock();
    at_work_ = false;
    opened_ = to;
    StayPtr gone;
    if (failure || last || place_.empty()) gone = leave();
    const bool is_owed = failure && complete_;
    if (failure && !is_owed) failure_ = failure;
    rests_.notify_all();
    if (!gone) continue;
    lock.unlock();
    if (is_owed) decoded_(*failure);
    gone.reset();
    lock.lock();
  }
  called_ = false;
}

std::optional<Error> Arrival::open_piece(std::span<std::uint8_t> place, std::size_t to, bool last) {
  try {
    if (!opening_) {
      opening_.emplace(
          decoder_, SealedBlob{blob_, place}, BlobDecoder::Opening::State::Arriving,
          [decoded = decoded_, stay = stay_](Result<BlobPtr> blob) { decoded(std::move(blob)); });
    }
    opening_->go_on(to);
    if (last) opening_->finish(stay_->bytes);
    return std::nullopt;
  } catch (const std::exception& problem) {
    return as_error(problem);
  }
}

}  // namespace restic::repo
