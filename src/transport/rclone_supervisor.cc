// SPDX-License-Identifier: MIT
#include "transport/rclone_supervisor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "transport/signal_mask.h"

namespace restic::transport {
namespace {

// For the last bytes of a process that ended to come out of its pipe.
constexpr std::chrono::milliseconds kDrainTime{1000};

Error closing_error() { return {Errc::Cancelled, "the connection to rclone is being closed"}; }

}  // namespace

RcloneSupervisor::RcloneSupervisor(RcloneCommand command, const RcloneLimits& limits, Log& log)
    : command_(std::move(command)),
      limits_(limits),
      log_(log),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      next_pause_(limits.first_restart) {
  if (!wakeup_) throw Error(Errc::Io, "cannot make an event counter");
  thread_ = std::thread([this] { loop(); });
}

RcloneSupervisor::~RcloneSupervisor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  wake();
  thread_.join();
}

void RcloneSupervisor::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void RcloneSupervisor::send(HttpRequest request, HttpDone done) {
  std::lock_guard lock(mutex_);
  // The connection only queues; under the lock it cannot go away meanwhile.
  if (connection_ && !connection_closed_) {
    connection_->send(std::move(request), std::move(done));
  } else {
    waiting_.push_back({std::move(request), std::move(done)});
    changed_.notify_all();
    wake();
  }
}

std::optional<Error> RcloneSupervisor::first_failure() const {
  const auto longest_end = kDrainTime + RcloneProcess::kTimeToDie + 3 * limits_.patience;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, longest_end, [this] {
    const bool answering = connection_ && connection_->answers() > 0;
    return first_failure_ || answered_ || answering || stopping_;
  });
  return first_failure_;
}

std::string RcloneSupervisor::describe() const {
  std::lock_guard lock(mutex_);
  const std::string restarts = std::to_string(starts_ > 0 ? starts_ - 1 : 0) + " restarts";
  if (pid_ == 0) return "not running, " + restarts;
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
  return "pid " + std::to_string(pid_) + ", up " + std::to_string(up.count()) + " s, " + restarts;
}

pid_t RcloneSupervisor::pid() const {
  std::lock_guard lock(mutex_);
  return pid_;
}

void RcloneSupervisor::loop() {
  block_signals_on_this_thread();
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || first_failure_) break;
    }
    run_once();
    pause();
  }
  // After a first failure there is no rclone to wait for: everything is refused until the owner goes.
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    const Error reason = first_failure_.value_or(closing_error());
    if (waiting_.empty()) return;
    lock.unlock();
    refuse_waiting(reason);
  }
}

void RcloneSupervisor::run_once() {
  try {
    RcloneProcess process(command_.program, command_.arguments, log_);
    connect(process);
    watch(process);
    const bool ended_first = process.has_ended();
    disconnect("rclone ended");
    const bool by_itself = process.stop(limits_.patience);
    std::unique_lock lock(mutex_);
    pid_ = 0;
    const bool stopping = stopping_;
    const bool first = !answered_;
    const std::string words = process.last_words();
    const std::string reason = why_closed_ + ", " + words;
    lock.unlock();
    if (stopping) return;
    if (first) return fail_first({Errc::Unavailable, by_itself ? words : reason});
    log_.warning((by_itself && ended_first ? words : reason) + "; it is started again");
  } catch (const Error& error) {
    could_not_run(error);
  } catch (const std::exception& failure) {  // no memory, no thread
    could_not_run({Errc::Io, command_.program + " cannot be served: " + failure.what()});
  }
}

void RcloneSupervisor::could_not_run(const Error& error) {
  disconnect(error.what());
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    pid_ = 0;
    first = !answered_;
  }
  if (first) return fail_first(error);
  log_.warning(error.what());
  refuse_waiting({Errc::Unavailable, error.what()});
}

void RcloneSupervisor::connect(RcloneProcess& process) {
  {
    // Before there is a connection: one that ends at once says so while it is being made.
    std::lock_guard lock(mutex_);
    connection_closed_ = false;
  }
  auto connection = std::make_unique<H2Connection>(
      process.take_stdout(), process.take_stdin(), limits_.connection,
      [this](const Error& reason, const H2Connection::TakeWaiting& take_waiting) {
        std::lock_guard lock(mutex_);
        connection_closed_ = true;
        why_closed_ = reason.what();
        std::vector<HttpCall> never_begun = take_waiting();
        waiting_.insert(waiting_.begin(), std::make_move_iterator(never_begun.begin()),
                        std::make_move_iterator(never_begun.end()));
        wake();
      });
  std::lock_guard lock(mutex_);
  pid_ = process.pid();
  started_ = Clock::now();
  ++starts_;
  connection_ = std::move(connection);
  if (connection_closed_) return;  // so soon: they wait for the next one
  for (HttpCall& next : waiting_) connection_->send(std::move(next.request), std::move(next.done));
  waiting_.clear();
}

bool RcloneSupervisor::wait(RcloneProcess& process, std::chrono::milliseconds timeout) const {
  std::array<pollfd, 3> watched{
      {{process.exit_fd(), POLLIN, 0}, {process.stderr_fd(), POLLIN, 0}, {wakeup_.get(), POLLIN, 0}}};
  (void)::poll(watched.data(), watched.size(), static_cast<int>(timeout.count()));
  if (watched[1].revents != 0) process.read_stderr();
  if (watched[2].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wakeup_.get(), &count, sizeof count);
  }
  return watched[0].revents != 0;
}

void RcloneSupervisor::watch(RcloneProcess& process) {
  std::optional<Clock::time_point> drain_until;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (connection_->answers() > 0) answered_ = true;
      if (stopping_ || connection_closed_) return;
    }
    if (drain_until) {
      if (Clock::now() >= *drain_until) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    } else if (wait(process, std::chrono::milliseconds(-1))) {
      drain_until = Clock::now() + kDrainTime;
    }
  }
}

void RcloneSupervisor::disconnect(const std::string& why) {
  std::unique_ptr<H2Connection> connection;
  bool stopping = false;
  {
    std::lock_guard lock(mutex_);
    connection_closed_ = true;
    connection = std::move(connection_);
    stopping = stopping_;
  }
  if (!connection) return;
  if (!stopping) connection->give_up({Errc::Unavailable, why});
  const bool useful = connection->answers() > 0;
  connection.reset();
  std::lock_guard lock(mutex_);
  answered_ = answered_ || useful;
  changed_.notify_all();
  if (useful) next_pause_ = limits_.first_restart;
}

void RcloneSupervisor::fail_first(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    first_failure_ = error;
  }
  changed_.notify_all();
}

void RcloneSupervisor::pause() {
  std::unique_lock lock(mutex_);
  if (first_failure_) return;
  changed_.wait_for(lock, next_pause_, [this] { return stopping_; });
  next_pause_ = std::min(2 * next_pause_, limits_.longest_restart);
}

void RcloneSupervisor::refuse_waiting(const Error& reason) {
  std::vector<HttpCall> refused;
  {
    std::lock_guard lock(mutex_);
    refused = std::exchange(waiting_, {});
  }
  for (const HttpCall& next : refused) next.done(reason);
}

}  // namespace restic::transport
