// SPDX-License-Identifier: MIT
#include "support/restic_tool.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/unique_fd.h"

namespace restic::test {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

ResticTool::Outcome run_program(const std::vector<std::string>& command,
                                const std::vector<std::string>& extra_environment,
                                const std::filesystem::path& folder) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
  if (!folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());

  std::vector<std::string> words = command;
  std::vector<std::string> variables = extra_environment;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, command.front().c_str(), &actions, nullptr,
                                   pointers_to(words).data(), pointers_to(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot run " + command.front());
  theirs.reset();
  std::string output = read_all(ours.get());
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::move(output)};
}

ResticTool::ResticTool(std::filesystem::path repository, std::string password)
    : repository_(std::move(repository)), password_(std::move(password)) {}

ResticTool::Outcome ResticTool::run(const std::vector<std::string>& arguments,
                                    const std::filesystem::path& folder) const {
  const char* named = std::getenv("RESTIC");  // NOLINT(concurrency-mt-unsafe): tests set no variables
  std::vector<std::string> command{named != nullptr ? named : "restic", "--no-cache", "--repo",
                                   repository_.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_program(command, {"RESTIC_PASSWORD=" + password_}, folder);
}

}  // namespace restic::test
