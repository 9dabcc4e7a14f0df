// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

struct fuse_session;

namespace restic::fs {

// The threads that take requests from the kernel and answer them. libfuse's own loop cannot be ended from
// another thread while all its workers sleep in the device; this one can. Used by one thread.
class WorkerPool {
 public:
  // `all_ended` is called by the last worker that ends by itself: because the mount is gone.
  WorkerPool(fuse_session* session, unsigned threads, std::function<void()> all_ended);
  ~WorkerPool();  // ends and joins
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Ends every worker as soon as it has answered the request it has, and waits for that.
  void end();

 private:
  void serve();

  fuse_session* const session_;
  const std::function<void()> all_ended_;
  std::atomic<unsigned> running_;
  std::vector<std::thread> workers_;
};

// Starts a thread that takes no signals: they are for the thread that started it.
std::thread quiet_thread(std::function<void()> body);

}  // namespace restic::fs
