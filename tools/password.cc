// SPDX-License-Identifier: MIT
#include "tools/password.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/shell_words.h"
#include "base/unique_fd.h"
#include "tools/text_file.h"

namespace restic::tools {
namespace {

// Starts the command with `out` as its stdout and no input. Throws when there is no such program.
pid_t start(const std::vector<std::string>& words, int out) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  pid_t child = 0;
  const int failure = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    throw Error(Errc::NotFound, "cannot run " + words[0] + ": " + std::generic_category().message(failure));
  }
  return child;
}

std::string read_all(int fd) {
  constexpr std::size_t kLargest = 1U << 20U;
  std::string text(kLargest, '\0');  // at once: growing would leave copies behind
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(fd, text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

std::string run_command(const std::string& line) {
  const std::vector<std::string> words = split_shell_words(line);
  if (words.empty()) throw Error(Errc::Usage, "the command is empty");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(Errc::Io, "cannot make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = start(words, write_end.get());
  write_end.reset();
  std::string output = read_all(read_end.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    wipe(output);
    throw Error(Errc::Io, words[0] + " " + how_it_ended(status));
  }
  return clean_text(std::move(output));
}

// `get` with the place's name in front of its error, and without the empty password that restic refuses too.
template <class Get>
std::string from_place(const std::string& place, Get get) {
  std::string password;
  try {
    password = get();
  } catch (const Error& reason) {
    throw Error(reason.code(), place + ": " + reason.what());
  }
  if (password.empty()) throw Error(Errc::Usage, place + ": it gives an empty password");
  return password;
}

}  // namespace

std::optional<std::string> find_password(const PasswordOptions& options, const Environment& environment) {
  const auto from_file = [](const std::string& place, const std::string& path) {
    return from_place(place, [&] { return read_text_file(path); });
  };
  const auto from_command = [](const std::string& place, const std::string& line) {
    return from_place(place, [&] { return run_command(line); });
  };
  const auto set = [&](const char* name) { return environment(name).value_or(""); };

  if (!options.file.empty()) return from_file("password-file", options.file);
  if (!options.command.empty()) return from_command("password-command", options.command);
  if (const std::string path = set("RESTIC_PASSWORD_FILE"); !path.empty()) {
    return from_file("RESTIC_PASSWORD_FILE", path);
  }
  if (const std::string line = set("RESTIC_PASSWORD_COMMAND"); !line.empty()) {
    return from_command("RESTIC_PASSWORD_COMMAND", line);
  }
  if (std::string password = set("RESTIC_PASSWORD"); !password.empty()) return password;
  const std::string credentials = set("CREDENTIALS_DIRECTORY");
  const std::string path = credentials + "/restic-password";
  if (!credentials.empty() && ::access(path.c_str(), F_OK) == 0) return from_file("systemd credential", path);
  return std::nullopt;
}

repo::PasswordSource password_source(std::optional<std::string> found, Startup& startup) {
  struct Kept {
    std::optional<std::string> password;
    ~Kept() {
      if (password) wipe(*password);
    }
  };
  auto kept = std::make_shared<Kept>();
  const bool was_found = found.has_value();
  kept->password = std::move(found);
  return [kept, was_found, &startup](int attempt) -> std::optional<std::string> {
    if (was_found) return std::exchange(kept->password, std::nullopt);
    if (attempt > kPasswordTries) return std::nullopt;
    std::optional<std::string> answer = startup.ask_password(attempt);
    if (!answer && attempt == 1) {
      throw Error(Errc::WrongPassword,
                  "no password: none was given and there is no terminal to ask on; name one with -o "
                  "password-file=PATH "
                  "or RESTIC_PASSWORD_FILE");
    }
    return answer;
  };
}

}  // namespace restic::tools
