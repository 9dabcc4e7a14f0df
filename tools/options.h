// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/vfs.h"
#include "tools/command_line.h"
#include "transport/open_backend.h"

namespace restic::tools {

// The environment as a function, so that a test can give another one. nullopt: not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Where the password comes from when it was named with -o; the rest is tools/password.h's.
struct PasswordOptions {
  std::string file, command;
};

// What the write path needs to know.
struct CommitOptions {
  std::optional<std::chrono::milliseconds> after{std::chrono::seconds(30)};  // nullopt: never by itself
  std::string host;                                                          // empty: the machine's name
  std::vector<std::string> tags;
  bool partial = false;  // make the snapshot without the files that cannot be read
};

// The whole command line, understood. Paths are absolute, except in `repository` when it is not a local one.
struct Options {
  std::string repository;  // as the user wrote it, for messages
  transport::Location location;
  std::string mountpoint;  // absolute; nothing is known of it yet
  std::string name_space;  // a process id or a path; empty: our own

  bool foreground = false, verbose = false, debug = false;
  bool read_only = false, init = false, lock = false;
  bool allow_other = false, allow_root = false, default_permissions = false;
  std::vector<std::string> mount_flags;  // generic ones that the kernel acts on: noexec, nosuid, …

  PasswordOptions password;
  std::string key_hint;
  fs::VfsOptions vfs;
  transport::BackendOptions backend;
  std::string cache_dir;  // empty: no cache
  std::uint64_t cache_bytes = 1ULL << 30U;
  std::uint64_t memory_bytes = 128ULL << 20U;
  std::string state_dir, log_file;
  CommitOptions commit;
};

// One option that `-o` takes; the help text and the manual page's test are made from these.
struct OptionHelp {
  std::string_view name;
  std::string_view value;  // how its value is called in the help; empty: it takes none
  std::string_view help;   // one sentence
};
std::vector<OptionHelp> option_help();

// Gives every option its meaning, fills in the defaults (RESTIC_REPOSITORY, RESTIC_REPOSITORY_FILE,
// RESTIC_KEY_HINT, XDG_CACHE_HOME, XDG_STATE_HOME, HOME) and makes paths absolute. `uid` is who runs the
// program: root's cache and state are under /var. Reads RESTIC_REPOSITORY_FILE, touches nothing else. Throws
// Error{Usage} that names the option; for an unknown one also the nearest that there is.
Options read_options(const CommandLine& line, const Environment& environment, std::uint32_t uid);

}  // namespace restic::tools
