// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "transport/backend.h"

namespace restic::transport {

// First in, first out, Demand before Ahead; but where both wait every fourth is Ahead, for somebody may have
// come to need it meanwhile. Not thread-safe: its owner locks.
template <class T>
class UrgentQueue {
 public:
  void push(Urgency urgency, T item) {
    (urgency == Urgency::Demand ? demand_ : ahead_).push_back(std::move(item));
  }
  bool empty() const noexcept { return demand_.empty() && ahead_.empty(); }
  std::size_t size() const noexcept { return demand_.size() + ahead_.size(); }
  T& front() noexcept { return first().front(); }
  T pop() {
    std::deque<T>& from = first();
    T item = std::move(from.front());
    from.pop_front();
    ++popped_;
    return item;
  }

 private:
  std::deque<T>& first() noexcept {
    const bool ahead = demand_.empty() || (!ahead_.empty() && popped_ % 4 == 3);
    return ahead ? ahead_ : demand_;
  }

  std::size_t popped_ = 0;
  std::deque<T> demand_;
  std::deque<T> ahead_;
};

}  // namespace restic::transport
