// SPDX-License-Identifier: MIT
#include "fs/worker_pool.h"

#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fs/ops.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

// A program that goes through files sends its next request within this time of the answer.
constexpr auto kWatch = 50us;
// After so many answers of one kind in a row that were followed by nothing for longer, a worker looks for the
// next request only now and then.
constexpr unsigned kInVain = 8, kNowAndThen = 32;
// After so long without a request taken it is not only that the workers have much to do.
constexpr auto kStuck = 100ms;

// A request as it comes from the device; freed also when the thread is cancelled while it waits for one.
struct RequestBuffer {
  RequestBuffer() = default;
  ~RequestBuffer() { std::free(buffer.mem); }
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
  fuse_buf buffer{};
};

bool is_in_memory(const fuse_buf& request) {
  return (request.flags & FUSE_BUF_IS_FD) == 0 && request.size >= sizeof(fuse_in_header);
}

// Requests of one kind are alike in how soon a program that got the answer asks again. Who has the first part
// of a folder works on it; who has the last goes on at once.
std::size_t kind_of(const fuse_buf& request) {
  if (!is_in_memory(request)) return 0;
  const auto* const header = static_cast<const fuse_in_header*>(request.mem);
  const bool lists = header->opcode == FUSE_READDIR || header->opcode == FUSE_READDIRPLUS;
  if (lists && request.size >= sizeof(fuse_in_header) + sizeof(fuse_read_in)) {
    fuse_read_in what;
    std::memcpy(&what, header + 1, sizeof what);
    if (what.offset == 0) return WorkerPool::kKinds - 1;
  }
  return header->opcode % WorkerPool::kKinds;
}

// Whether answering it can take longer than to wake another worker for the next request.
bool takes_time(const fuse_buf& request) {
  if (!is_in_memory(request)) return true;
  switch (static_cast<const fuse_in_header*>(request.mem)->opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::thread quiet_thread(std::function<void()> body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

WorkerPool::WorkerPool(fuse_session* session, unsigned threads, std::function<void(int)> failed,
                       std::function<void()> all_ended, std::chrono::microseconds tick)
    : session_(session),
      threads_(threads),
      cores_(std::thread::hardware_concurrency()),
      failed_(std::move(failed)),
      all_ended_(std::move(all_ended)),
      tick_(tick) {}

WorkerPool::~WorkerPool() { end(); }

void WorkerPool::start() {
  running_ = threads_;
  workers_.reserve(std::size_t{kGrowth} * threads_);
  for (unsigned worker = 0; worker < threads_; ++worker) {
    workers_.push_back(quiet_thread([this] { serve(); }));
  }
  keeper_ = quiet_thread([this] { keep_listening(); });
}

void WorkerPool::serve() {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  RequestBuffer request;
  bool answered = false;
  std::size_t kind = 0;  // of what was answered
  while (fuse_session_exited(session_) == 0 && await_turn(answered)) {
    const auto since = Clock::now();
    std::atomic<unsigned>& in_vain = in_vain_[kind];
    if (answered && (in_vain < kInVain || in_vain % kNowAndThen == 0)) watch(since);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    const int size = fuse_session_receive_buf(session_, &request.buffer);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    const bool again = size == -EINTR || size == -EAGAIN || size == -ENOENT;
    if (size <= 0 && !again) {
      fuse_session_exit(session_);  // with the turn kept: nobody need ask the device any more
      if (size < 0) failed_(-size);
      break;
    }
    if (answered) in_vain = Clock::now() - since < 2 * kWatch ? 0 : in_vain + 1;
    answered = false;
    took_request();
    if (again) continue;
    if (takes_time(request.buffer) && more_waiting()) about_to_wait();
    kind = kind_of(request.buffer);
    fuse_session_process_buf(session_, &request.buffer);
    answered = cores_ > 1;  // where there is one, the program waits for it
  }
  stop_waiting();
  if (--running_ == 0) all_ended_();
}

bool WorkerPool::take_turn() { return !listening_.load() && !listening_.exchange(true); }

// False: there are no more turns. Whoever sleeps meanwhile has not `answered` just now.
bool WorkerPool::await_turn(bool& answered) {
  if (take_turn()) return true;
  answered = false;
  std::unique_lock lock(mutex_);
  ++asleep_;
  turn_.wait(lock, [this] { return ending_ || take_turn(); });
  --asleep_;
  return !ending_;
}

void WorkerPool::watch(Clock::time_point since) const {
  while (!more_waiting() && Clock::now() - since < kWatch) {
  }
}

// Also when there is nothing to wait for any more.
bool WorkerPool::more_waiting() const {
  pollfd device{fuse_session_fd(session_), POLLIN, 0};
  return poll(&device, 1, 0) != 0;
}

// The order matters: the keeper rests, then looks whether it may.
void WorkerPool::took_request() {
  ++taken_;
  listening_ = false;
  if (!keeper_rests_) return;
  const std::lock_guard lock(mutex_);
  keeper_rests_ = false;
  work_.notify_one();
}

void WorkerPool::about_to_wait() {
  if (listening_) return;
  const std::lock_guard lock(mutex_);  // not between a worker's look and its sleep
  turn_.notify_one();
}

// Sees to it that somebody listens while requests come, however long those that were taken last, and that
// several work where several programs ask: one that answers each before it listens again finds only one more
// waiting at a time.
void WorkerPool::keep_listening() {
  std::unique_lock lock(mutex_);
  std::uint64_t seen = 0;
  while (!ending_) {
    if (!listening_ && (taken_ == seen || more_waiting())) turn_.notify_one();
    // With nobody asleep there is nobody to call, and whoever is done takes the turn.
    const auto may_rest = [&] { return (listening_ || asleep_ == 0) && taken_ == seen; };
    keeper_rests_ = may_rest();
    if (keeper_rests_ && !may_rest()) keeper_rests_ = false;
    seen = taken_;
    if (keeper_rests_) {
      const auto wanted = [this] { return ending_ || !keeper_rests_; };
      if (listening_ || workers_.size() == std::size_t{kGrowth} * threads_) {
        work_.wait(lock, wanted);
      } else if (!work_.wait_for(lock, kStuck, wanted) && !listening_ && asleep_ == 0 && more_waiting()) {
        add_worker();
      }
    } else {
      work_.wait_for(lock, tick_, [this] { return ending_; });
    }
  }
}

// With mutex_ held, by the keeper. Without a thread it stays as it is, and is tried again.
void WorkerPool::add_worker() noexcept {
  ++running_;
  try {
    workers_.push_back(quiet_thread([this] { serve(); }));
  } catch (const std::exception&) {
    --running_;
  }
}

void WorkerPool::stop_waiting() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  turn_.notify_all();
  work_.notify_all();
}

// A worker that sleeps in the device is cancelled there; cancelling is off everywhere else.
void WorkerPool::end() {
  fuse_session_exit(session_);
  stop_waiting();
  if (keeper_.joinable()) keeper_.join();  // so that there are no more workers
  for (auto& worker : workers_) pthread_cancel(worker.native_handle());
  for (auto& worker : workers_) worker.join();
  workers_.clear();
}

}  // namespace restic::fs
