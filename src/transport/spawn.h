// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace restic::transport {

struct SpawnedProgram {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd stdin_pipe;   // ours: written to
  UniqueFd stdout_pipe;  // ours: read from
  UniqueFd stderr_pipe;  // ours: read from, non-blocking
};

// Starts a program in a process group of its own, with three pipes as its only open files, default signals,
// and a death sentence should the calling thread end. Throws Error{Usage} when the program is missing or
// cannot be run, Io otherwise. Blocks until the program runs. The caller reaps it.
SpawnedProgram spawn_program(const std::string& program, const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment);

// Our environment as rclone may see it: without the variables that would make it serve something else, with
// HOME and PATH where the caller (systemd, `env -i`) gave none. Unless it names another pause, a recent
// rclone waits 1 ms instead of 10 between its calls of a WebDAV server; when that refuses one, it waits
// longer.
std::vector<std::string> child_environment();

}  // namespace restic::transport
