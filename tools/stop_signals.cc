// SPDX-License-Identifier: MIT
#include "tools/stop_signals.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace restic::tools {
namespace {

// The third one wakes the thread up at the end.
constexpr int kWakeUp = SIGUSR2;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, kWakeUp);
  return set;
}

}  // namespace

StopSignals::StopSignals(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::jthread([this](const std::stop_token& done) { wait(done); });
}

StopSignals::~StopSignals() {
  thread_.request_stop();
  ::pthread_kill(thread_.native_handle(), kWakeUp);
}

void StopSignals::redirect(std::function<void()> on_stop) {
  const std::lock_guard lock(mutex_);
  on_stop_ = std::move(on_stop);
}

void StopSignals::wait(const std::stop_token& done) {
  const sigset_t set = stop_signals();
  while (!done.stop_requested()) {
    int signal = 0;
    if (::sigwait(&set, &signal) != 0 || signal == kWakeUp) continue;
    const std::lock_guard lock(mutex_);
    if (on_stop_) on_stop_();
  }
}

}  // namespace restic::tools
