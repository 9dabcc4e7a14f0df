// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

namespace restic::repo {

// Counts the bytes a pipeline holds. Those who bring new bytes in wait for room; those who turn bytes into
// others may not wait, for they are the ones who make room. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t limit) : limit_(limit) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Blocks until `bytes` fit, or nothing else is held. False when `stop` was asked for first: then nothing is
  // taken.
  [[nodiscard]] bool acquire(std::uint64_t bytes, const std::stop_token& stop);
  // Takes without waiting, above the limit if need be.
  void charge(std::uint64_t bytes);
  void release(std::uint64_t bytes);

  std::uint64_t used() const;
  // So little is used that it is not memory that holds things up.
  bool is_ample() const { return used() < limit_ / 4 * 3; }

 private:
  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable_any room_;
  std::uint64_t used_ = 0;
};

// Bytes taken from a budget, given back at the end of the scope.
class BudgetShare {
 public:
  BudgetShare() = default;
  // Takes over what was acquired or charged already.
  BudgetShare(MemoryBudget& budget, std::uint64_t bytes) : budget_(&budget), bytes_(bytes) {}
  BudgetShare(BudgetShare&& other) noexcept;
  BudgetShare& operator=(BudgetShare&& other) noexcept;
  BudgetShare(const BudgetShare&) = delete;
  BudgetShare& operator=(const BudgetShare&) = delete;
  ~BudgetShare() { reset(); }

 private:
  void reset() noexcept;

  MemoryBudget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace restic::repo
