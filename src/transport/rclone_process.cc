// SPDX-License-Identifier: MIT
#include "transport/rclone_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "transport/spawn.h"

namespace restic::transport {
namespace {

constexpr std::size_t kKeptLines = 8;
constexpr std::size_t kLongestLine = 2048;
constexpr std::chrono::milliseconds kLittlePatience{500};

bool is_time_stamp(std::string_view text) {
  constexpr std::string_view kShape = "0000/00/00 00:00:00 ";
  return text.size() >= kShape.size() &&
         std::equal(kShape.begin(), kShape.end(), text.begin(), [](char s, char c) {
           return s == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : s == c;
         });
}

}  // namespace

std::string_view without_log_prefix(std::string_view line) {
  if (is_time_stamp(line)) line.remove_prefix(20);
  for (const std::string_view level : {"CRITICAL", "ERROR", "NOTICE", "INFO", "DEBUG"}) {
    if (!line.starts_with(level)) continue;
    const std::size_t colon = line.find_first_not_of(' ', level.size());
    if (colon == std::string_view::npos || line[colon] != ':') continue;
    line.remove_prefix(std::min(line.size(), colon + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    break;
  }
  return line;
}

RcloneProcess::RcloneProcess(const std::string& program, const std::vector<std::string>& arguments, Log& log)
    : name_(program), log_(log) {
  SpawnedProgram spawned = spawn_program(program, arguments, child_environment());
  pid_ = spawned.pid;
  stdin_ = std::move(spawned.stdin_pipe);
  stdout_ = std::move(spawned.stdout_pipe);
  stderr_ = std::move(spawned.stderr_pipe);
  pidfd_ = std::move(spawned.pidfd);
}

RcloneProcess::~RcloneProcess() { stop(kLittlePatience); }

bool RcloneProcess::read_stderr() {
  std::array<char, 4096> buffer{};
  while (stderr_) {
    const ssize_t got = ::read(stderr_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) break;
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (c == '\n') {
        take_line(std::exchange(partial_line_, {}));
      } else if (partial_line_.size() < kLongestLine) {
        partial_line_ += c;
      }
    }
  }
  if (!partial_line_.empty()) take_line(std::exchange(partial_line_, {}));
  stderr_.reset();
  return false;
}

void RcloneProcess::take_line(std::string_view line) {
  const bool problem = line.find("ERROR") != line.npos || line.find("CRITICAL") != line.npos ||
                       line.find("Failed") != line.npos;
  const std::string_view words = without_log_prefix(line);
  if (words.empty()) return;
  log_.write(problem ? LogLevel::Warning : LogLevel::Info, name_ + ": " + std::string(words));
  lines_.emplace_back(line);
  if (lines_.size() > kKeptLines) lines_.pop_front();
}

bool RcloneProcess::has_ended() const {
  pollfd watched{pidfd_.get(), POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

bool RcloneProcess::wait_for_exit(std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + patience;
  for (;;) {
    read_stderr();  // a full pipe would keep it from ending
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    std::array<pollfd, 2> watched{{{pidfd_.get(), POLLIN, 0}, {stderr_.get(), POLLIN, 0}}};
    const int timeout = static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
    const int count = ::poll(watched.data(), watched.size(), timeout);
    if (count > 0 && watched[0].revents != 0) return true;
    if (count == 0 || left.count() <= 0) return false;
  }
}

bool RcloneProcess::stop(std::chrono::milliseconds patience) {
  if (std::exchange(stopped_, true)) return ended_by_itself_;
  stdin_.reset();
  stdout_.reset();
  ended_by_itself_ = wait_for_exit(patience);
  if (!ended_by_itself_) {
    ::kill(-pid_, SIGTERM);
    if (!wait_for_exit(patience)) log_.warning(name_ + " does not end and is killed");
  }
  // Before it is reaped, while its number cannot be anybody else's: whatever it started goes with it.
  ::kill(-pid_, SIGKILL);
  if (wait_for_exit(kTimeToDie)) {
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
  }
  read_stderr();
  return ended_by_itself_;
}

std::string RcloneProcess::last_words() const {
  std::string words = name_;
  if (!reaped_) {
    words += " does not even die, a hanging disk keeps it";
  } else if (WIFSIGNALED(status_)) {
    words += " was killed by signal " + std::to_string(WTERMSIG(status_));
  } else {
    words += " ended with status " + std::to_string(WEXITSTATUS(status_));
  }
  if (lines_.empty()) return words;
  const auto spoken = std::find_if(lines_.rbegin(), lines_.rend(),
                                   [](const std::string& line) { return line.find("NOTICE") == line.npos; });
  return words + ": " + std::string(without_log_prefix(spoken == lines_.rend() ? lines_.back() : *spoken));
}

}  // namespace restic::transport
