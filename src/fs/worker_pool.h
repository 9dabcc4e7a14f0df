// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

struct fuse_session;

namespace restic::fs {

// The threads that take requests from the kernel and answer them. libfuse's own loop cannot be ended from
// another thread while all its workers sleep in the device; this one can.
//
// One worker at a time listens to the device, and the one that has answered a request listens for the next,
// at first without sleeping, unless that has been in vain: to wake a thread takes longer than most answers.
// Another one takes over
//  - at once, when more is waiting than the request that was taken, unless that is answered in no time, or
//    when about_to_wait() is called;
//  - within a millisecond, whatever else keeps the workers from listening.
// When all of them wait, and for long, as for a storage that hangs, more are started: what does not need it,
// and word of those who do not want to wait any more, must come through.
//
// Used by one thread, but for about_to_wait().
class WorkerPool {
 public:
  static constexpr std::size_t kKinds = 64;  // FUSE knows some fifty requests
  static constexpr unsigned kGrowth = 5;     // times as many workers there may be

  // `failed` is called, with an errno, when the device cannot be read any more though the mount is there;
  // then all workers end. `all_ended` is called by the last worker that ends by itself, also when the mount
  // is gone. `tick` is how soon the keeper notices that nobody listens; tests stop it by that.
  WorkerPool(fuse_session* session, unsigned threads, std::function<void(int)> failed,
             std::function<void()> all_ended, std::chrono::microseconds tick = kTick);
  ~WorkerPool();  // ends and joins
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void start();  // once; throws std::system_error when there are no threads to be had, and end() still works
  // Ends every worker as soon as it has answered the request it has, and waits for that.
  void end();
  // The request that the calling worker answers has to wait for something. Cheap; from any thread.
  void about_to_wait();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds kTick{500};

  void serve();
  bool await_turn(bool& answered);
  bool take_turn();
  void watch(Clock::time_point since) const;
  bool more_waiting() const;
  void took_request();
  void keep_listening();
  void add_worker() noexcept;
  void stop_waiting();

  fuse_session* const session_;
  const unsigned threads_;
  const unsigned cores_;
  const std::function<void(int)> failed_;
  const std::function<void()> all_ended_;
  const std::chrono::microseconds tick_;
  std::atomic<unsigned> running_{0};
  std::vector<std::thread> workers_;  // the keeper's, while there is one
  std::thread keeper_;

  std::atomic<bool> listening_{false};   // some worker is, or is about to
  std::atomic<std::uint64_t> taken_{0};  // requests
  // By the kind of the request answered before: how many in a row came too late to be watched for.
  std::array<std::atomic<unsigned>, kKinds> in_vain_{};
  std::atomic<bool> keeper_rests_{true};  // nothing happens that it has to see to

  std::mutex mutex_;
  std::condition_variable turn_, work_;  // for the workers; for the keeper
  bool ending_ = false;                  // guarded by mutex_, like the next
  unsigned asleep_ = 0;                  // workers that wait for a turn
};

// Starts a thread that takes no signals: they are for the thread that started it.
std::thread quiet_thread(std::function<void()> body);

}  // namespace restic::fs
