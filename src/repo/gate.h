// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace restic::repo {

// Lets completions that may come late know whether their object is still there. A completion captures the
// gate (by shared_ptr) beside its object's `this` and touches the object only between a successful enter()
// and leave(); the object's destructor calls close(), which turns everybody away from then on and waits for
// those inside. Thread-safe.
class Gate {
 public:
  [[nodiscard]] bool enter() {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }

  void leave() {
    std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }

  // Blocks for as long as somebody is inside. Never call it from inside.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [&] { return inside_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

// One stay inside a gate.
class GatePass {
 public:
  explicit GatePass(std::shared_ptr<Gate> gate) : gate_(gate->enter() ? std::move(gate) : nullptr) {}
  ~GatePass() {
    if (gate_) gate_->leave();
  }
  GatePass(const GatePass&) = delete;
  GatePass& operator=(const GatePass&) = delete;
  explicit operator bool() const { return gate_ != nullptr; }

 private:
  std::shared_ptr<Gate> gate_;
};

}  // namespace restic::repo
