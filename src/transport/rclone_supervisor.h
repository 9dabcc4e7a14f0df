// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "transport/h2_connection.h"
#include "transport/http.h"
#include "transport/rclone_process.h"

namespace restic::transport {

struct RcloneCommand {
  std::string program;
  std::vector<std::string> arguments;
};

struct RcloneLimits {
  H2ConnectionLimits connection;
  std::chrono::milliseconds first_restart{
      100};  // the wait after a death; doubled by each death without an answer
  std::chrono::milliseconds longest_restart{8000};
  std::chrono::milliseconds patience{3000};  // for an rclone that should end
};

// Keeps one rclone running and carries requests to it. What is under way when rclone dies, or is ended
// because a change was broken off (see H2Session), fails, with Unavailable if it has no reason of its own;
// what was not begun, and what is sent while rclone is being started again, waits for that start, which
// happens within `longest_restart` of the old one's end. One thread starts, watches and reaps the process for
// the whole life of the object (the kernel kills rclone with it). Thread-safe.
class RcloneSupervisor : public HttpChannel {
 public:
  // Returns at once; the first start is under way. `log` must outlive the object.
  RcloneSupervisor(RcloneCommand command, const RcloneLimits& limits, Log& log);
  // Cancels what is under way and ends rclone. Blocks for as long as RcloneProcess::stop() does.
  ~RcloneSupervisor() override;

  void send(HttpRequest request, HttpDone done) override;

  // Why the first rclone ended without a single answer; no other is started then. Blocks until that is known:
  // call it when the first request failed with Unavailable. Empty when rclone did answer before, or refused
  // the request and lives on.
  std::optional<Error> first_failure() const;

  // "pid 123, up 120 s, 0 restarts".
  std::string describe() const;
  // 0 while there is none. For tests and messages.
  pid_t pid() const;

 private:
  using Clock = std::chrono::steady_clock;

  void loop();
  void run_once();
  void could_not_run(const Error& error);
  void watch(RcloneProcess& process);
  bool wait(RcloneProcess& process, std::chrono::milliseconds timeout) const;
  void connect(RcloneProcess& process);
  void disconnect(const std::string& why);
  void fail_first(const Error& error);
  void pause();
  void refuse_waiting(const Error& reason);
  void wake() const;

  const RcloneCommand command_;
  const RcloneLimits limits_;
  Log& log_;
  UniqueFd wakeup_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::unique_ptr<H2Connection> connection_;
  std::vector<HttpCall> waiting_;
  bool stopping_ = false;
  bool connection_closed_ = false;
  std::string why_closed_;
  bool answered_ = false;  // some rclone did
  std::optional<Error> first_failure_;
  pid_t pid_ = 0;
  Clock::time_point started_;
  std::uint64_t starts_ = 0;

  std::chrono::milliseconds next_pause_;  // the thread's own
  std::thread thread_;
};

}  // namespace restic::transport
