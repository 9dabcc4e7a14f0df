// SPDX-License-Identifier: MIT
#pragma once

#include <termios.h>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "tools/startup.h"

namespace restic::tools {

// The person in front of the program: asks for the password on /dev/tty, shows progress on stderr when that
// is a terminal, says nothing otherwise. Thread-safe.
class Terminal : public Startup {
 public:
  // `repository` stands in the question.
  explicit Terminal(std::string repository);
  ~Terminal() override;
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::optional<std::string> ask_password(int attempt) override;
  void show_progress(std::size_t done, std::size_t total) override;
  void ready() override;

  // Takes back what is half shown: the progress line goes, the echo comes back. Called before anything else
  // is printed and before the process ends on a signal, by another thread if need be.
  void tidy_up() noexcept;

 private:
  std::optional<std::string> ask(const std::string& question);
  void hide_echo(int tty);

  const std::string repository_;
  const bool stderr_is_terminal_;
  std::mutex mutex_;  // guards what is below
  UniqueFd tty_;
  std::optional<termios> before_;  // the terminal's settings while the echo is off
  std::chrono::steady_clock::time_point last_progress_{};
  bool progress_shown_ = false;
};

}  // namespace restic::tools
