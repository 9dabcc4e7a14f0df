// SPDX-License-Identifier: MIT
#include "tools/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "tools/text_file.h"

namespace restic::tools {
namespace {

void write_text(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// One line without its end; nullopt at the end of the input.
std::optional<std::string> read_line(int fd) {
  constexpr std::size_t kLongest = 4096;  // what a terminal's line holds
  std::string line;
  line.reserve(kLongest);  // growing would leave copies behind
  for (;;) {
    char c = 0;
    const ssize_t got = ::read(fd, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (line.empty()) return std::nullopt;
      return line;
    }
    if (c == '\n') return line;
    if (line.size() < kLongest) line += c;
  }
}

}  // namespace

Terminal::Terminal(std::string repository)
    : repository_(std::move(repository)), stderr_is_terminal_(::isatty(STDERR_FILENO) == 1) {}

Terminal::~Terminal() { tidy_up(); }

void Terminal::hide_echo(int tty) {
  termios settings{};
  if (::tcgetattr(tty, &settings) != 0) return;
  before_ = settings;
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  settings.c_lflag |= ECHONL;
  settings.c_cc[VSUSP] = _POSIX_VDISABLE;  // a shell must not get the terminal back without its echo
  ::tcsetattr(tty, TCSAFLUSH, &settings);
}

std::optional<std::string> Terminal::ask_password(int attempt) {
  if (attempt == kNewPassword) {
    std::optional<std::string> password = ask("Password for the new repository " + repository_ + ": ");
    std::optional<std::string> again = password ? ask("Once more: ") : std::nullopt;
    const bool agree = password == again;
    if (again) wipe(*again);
    if (!agree && password) wipe(*password);
    return agree ? password : std::nullopt;
  }
  std::string question = "Password for " + repository_ + ": ";
  if (attempt > 1) {
    const int left = kPasswordTries - attempt + 1;
    question =
        "Wrong password, " + std::to_string(left) + (left == 1 ? " try" : " tries") + " left.\n" + question;
  }
  return ask(question);
}

std::optional<std::string> Terminal::ask(const std::string& question) {
  tidy_up();
  UniqueFd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!tty) return std::nullopt;
  const int fd = tty.get();
  {
    const std::lock_guard lock(mutex_);
    tty_ = std::move(tty);
    hide_echo(fd);
  }
  write_text(fd, question);
  std::optional<std::string> answer = read_line(fd);
  tidy_up();
  return answer;
}

void Terminal::show_progress(std::size_t done, std::size_t total) {
  constexpr auto kPause = std::chrono::milliseconds(100);
  if (!stderr_is_terminal_) return;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - last_progress_ < kPause && done != total) return;
  last_progress_ = now;
  progress_shown_ = true;
  write_text(STDERR_FILENO, "\r\x1b[KLoading the index: " + std::to_string(done) + " of " +
                                std::to_string(total) + " files");
}

void Terminal::ready() { tidy_up(); }

void Terminal::tidy_up() noexcept {
  const std::lock_guard lock(mutex_);
  if (before_) ::tcsetattr(tty_.get(), TCSAFLUSH, &*before_);
  before_.reset();
  tty_.reset();
  if (progress_shown_) write_text(STDERR_FILENO, "\r\x1b[K");
  progress_shown_ = false;
}

}  // namespace restic::tools
