// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "base/log.h"
#include "transport/backend.h"
#include "transport/timer.h"

namespace restic::transport {

struct RetryPolicy {
  std::chrono::milliseconds first_wait{
      200};  // doubled by every failure, each time between half and all of it
  std::chrono::milliseconds longest_wait{8000};
  // No attempt begins later than that after the first failure, or, when that was a Timeout, after the call's
  // start: a long transfer that breaks off is begun again, and who never answers is not asked for twice as
  // long.
  std::chrono::milliseconds total{60000};
  unsigned damaged_attempts = 2;  // a body that came short or too long may be a passing fault
};

// Repeats the calls of another backend that failed for a reason that may pass: Unavailable and Timeout until
// the time is up, Damaged a few times, nothing else. A repeated `remove` that finds nothing has succeeded:
// its first answer was lost. The last failure is what the caller gets. Each call has its own time: one that
// starts after a long outage is not charged for it. Thread-safe; completions run on the inner backend's
// threads or the timer's.
class RetryBackend : public Backend {
 public:
  // `log` must outlive the backend.
  RetryBackend(std::unique_ptr<Backend> inner, const RetryPolicy& policy, std::unique_ptr<Timer> timer,
               Log& log);
  ~RetryBackend() override;

  void load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) override;
  void load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) override;
  void load_range_arriving(const FileName& file, ByteRange range, Urgency urgency, const OnArriving& arriving,
                           LoadDone done) override;
  void list(FileType type, ListDone done) override;
  void save(const FileName& file, SharedContent content, StatusDone done) override;
  void remove(const FileName& file, StatusDone done) override;
  void create(StatusDone done) override;
  unsigned parallelism() const override { return inner_->parallelism(); }
  bool lends_threads() const override { return inner_->lends_threads(); }
  std::string describe() const override { return inner_->describe(); }

 private:
  template <class T>
  struct Call;
  template <class T>
  void begin(std::function<void(std::function<void(Result<T>)>)> start, std::function<void(Result<T>)> done);
  template <class T>
  void attempt(std::shared_ptr<Call<T>> call);
  template <class T>
  bool worth_another(Call<T>& call, const Error& error);
  std::chrono::milliseconds wait_before(unsigned failures);

  const RetryPolicy policy_;
  Log& log_;
  std::atomic<bool> stopping_ = false;
  std::mutex random_mutex_;
  std::mt19937 random_;
  std::unique_ptr<Timer> timer_;
  const std::unique_ptr<Backend> inner_;  // first to go: its completions use the rest
};

}  // namespace restic::transport
