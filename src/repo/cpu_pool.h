// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace restic::repo {

// The TBB arena for CPU work: one worker thread a core beside the callers. A task never waits for I/O or a
// slot. Thread-safe. The destructor waits for what was submitted. Made after the process daemonized, for it
// starts threads.
class CpuPool {
 public:
  // `threads` 0: one a core.
  explicit CpuPool(unsigned threads = 0);
  ~CpuPool();
  CpuPool(const CpuPool&) = delete;
  CpuPool& operator=(const CpuPool&) = delete;

  unsigned threads() const;
  // Runs the task soon on a pool thread; it must not throw (that ends the process).
  void submit(std::function<void()> task);
  // Runs body(0) … body(count - 1) in parallel, with the caller's help, and returns when all are done; the
  // first exception is thrown again. Not the place for long waits: it runs no other task meanwhile.
  void for_each(std::size_t count, const std::function<void(std::size_t)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::repo
