// SPDX-License-Identifier: MIT
#include "repo/memory_budget.h"

#include <utility>

namespace restic::repo {

bool MemoryBudget::acquire(std::uint64_t bytes, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool fits = room_.wait(lock, stop, [&] { return used_ == 0 || used_ + bytes <= limit_; });
  if (!fits || stop.stop_requested()) return false;
  used_ += bytes;
  return true;
}

void MemoryBudget::charge(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ += bytes;
}

void MemoryBudget::release(std::uint64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    used_ -= bytes;
  }
  room_.notify_all();
}

std::uint64_t MemoryBudget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

BudgetShare::BudgetShare(BudgetShare&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

BudgetShare& BudgetShare::operator=(BudgetShare&& other) noexcept {
  if (this != &other) {
    reset();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void BudgetShare::reset() noexcept {
  if (budget_ != nullptr) budget_->release(bytes_);
  budget_ = nullptr;
}

}  // namespace restic::repo
