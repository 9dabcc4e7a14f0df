// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace restic::tools {

// The command line of umount.restic: the form in which umount(8) calls its helpers, and --timeout for people.
struct UmountOptions {
  std::string mountpoint;
  std::string name_space;  // of -N; empty: our own
  bool verbose = false, lazy = false, force = false, help = false, version = false;
  std::optional<std::chrono::milliseconds> timeout;  // nullopt: as long as it goes on
};

// `args` is argv without the program's name. Throws Error{Usage}.
UmountOptions read_umount_options(const std::vector<std::string>& args);

std::string umount_help_text();

}  // namespace restic::tools
