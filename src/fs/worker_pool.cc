// SPDX-License-Identifier: MIT
#include "fs/worker_pool.h"

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "fs/ops.h"

namespace restic::fs {
namespace {

// A request as it comes from the device; freed also when the thread is cancelled while it waits for one.
struct RequestBuffer {
  RequestBuffer() = default;
  ~RequestBuffer() { std::free(buffer.mem); }
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
  fuse_buf buffer{};
};

}  // namespace

std::thread quiet_thread(std::function<void()> body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

WorkerPool::WorkerPool(fuse_session* session, unsigned threads, std::function<void()> all_ended)
    : session_(session), all_ended_(std::move(all_ended)), running_(threads) {
  workers_.reserve(threads);
  for (unsigned worker = 0; worker < threads; ++worker) {
    workers_.push_back(quiet_thread([this] { serve(); }));
  }
}

WorkerPool::~WorkerPool() { end(); }

void WorkerPool::serve() {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  RequestBuffer request;
  while (fuse_session_exited(session_) == 0) {
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    const int size = fuse_session_receive_buf(session_, &request.buffer);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    if (size == -EINTR) continue;
    if (size <= 0) break;
    fuse_session_process_buf(session_, &request.buffer);
  }
  if (--running_ == 0) all_ended_();
}

// A worker that sleeps in the device is cancelled there; cancelling is off everywhere else.
void WorkerPool::end() {
  fuse_session_exit(session_);
  for (auto& worker : workers_) pthread_cancel(worker.native_handle());
  for (auto& worker : workers_) worker.join();
  workers_.clear();
}

}  // namespace restic::fs
