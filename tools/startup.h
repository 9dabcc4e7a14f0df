// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace restic::tools {

inline constexpr int kPasswordTries = 3;
inline constexpr int kNewPassword = 0;  // an "attempt": the password of a repository that is being made

// mount(8)'s exit codes.
enum class ExitCode {
  Ok = 0,
  Usage = 1,        // the command line makes no sense
  System = 2,       // the operating system failed us: no memory, no process
  MountFailed = 32  // everything else that kept the repository from being mounted
};

// Whoever started the program, for as long as the mount does not answer yet.
class Startup {
 public:
  virtual ~Startup() = default;
  // Asks on the terminal, attempt 1 to kPasswordTries, or kNewPassword: twice, and both must agree. nullopt:
  // there is no terminal, or nobody wants to answer. The caller wipes the string. Blocks.
  virtual std::optional<std::string> ask_password(int attempt) = 0;
  // How far opening is; shown where there is a terminal. From any thread.
  virtual void show_progress(std::size_t done, std::size_t total) = 0;
  // The mount answers. To be called once; nothing else of this object may be used after it.
  virtual void ready() = 0;
};

}  // namespace restic::tools
