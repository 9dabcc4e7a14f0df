// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"

namespace restic::transport {

// One running rclone (or any program that talks through its stdin and stdout), in a process group of its own.
// Not thread-safe. Start it on a thread that lives as long as it is needed: the kernel kills the program when
// that thread ends, however it ends, and the program sees the end of its stdin then.
class RcloneProcess {
 public:
  static constexpr std::chrono::milliseconds kTimeToDie{5000};  // after SIGKILL, on a busy machine

  // `program` is looked up in PATH, or in the usual folders when there is none, unless it has a slash. Its
  // environment is ours without RCLONE_DRY_RUN, RCLONE_BASEURL, RCLONE_USER and RCLONE_PASS, and with HOME
  // and PATH made up where they are missing. Throws Error{Usage} when there is no such program or it cannot
  // be run, Io for anything else. `log` gets what the program says on stderr.
  RcloneProcess(const std::string& program, const std::vector<std::string>& arguments, Log& log);
  // As stop(), with little patience.
  ~RcloneProcess();
  RcloneProcess(const RcloneProcess&) = delete;
  RcloneProcess& operator=(const RcloneProcess&) = delete;

  // Our ends of its pipes: to be taken once.
  UniqueFd take_stdin() { return std::move(stdin_); }
  UniqueFd take_stdout() { return std::move(stdout_); }

  pid_t pid() const noexcept { return pid_; }
  // To be watched for reading: readable when the program has ended.
  int exit_fd() const noexcept { return pidfd_.get(); }
  // To be watched for reading; `read_stderr` then takes what is there without blocking. False: nothing more
  // comes.
  int stderr_fd() const noexcept { return stderr_.get(); }
  bool read_stderr();
  bool has_ended() const;  // does not block

  // Ends the program and everything in its group: waits `patience` for it to end by itself (its stdin should
  // be closed by then), as long again after SIGTERM, then kills and reaps it. One that a system call on a
  // hanging disk keeps from dying is left after kTimeToDie: that call is the last thing it does.
  // True: it ended by itself.
  bool stop(std::chrono::milliseconds patience);
  // How it ended, with its own words: "ended with status 1: didn't find section in config file". After
  // stop().
  std::string last_words() const;

 private:
  bool wait_for_exit(std::chrono::milliseconds patience);
  void take_line(std::string_view line);

  const std::string name_;
  Log& log_;
  UniqueFd stdin_;
  UniqueFd stdout_;
  UniqueFd stderr_;
  UniqueFd pidfd_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool stopped_ = false;
  bool reaped_ = false;
  bool ended_by_itself_ = false;
  std::string partial_line_;
  std::deque<std::string> lines_;  // the newest few
};

// A line of rclone's log without its time stamp and level: "2026/01/31 10:00:00 ERROR : x: y" is "x: y".
std::string_view without_log_prefix(std::string_view line);

}  // namespace restic::transport
