// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tools/command_line.h"
#include "tools/daemonize.h"
#include "tools/help.h"
#include "tools/mountpoint.h"
#include "tools/options.h"
#include "tools/password.h"
#include "tools/process.h"
#include "tools/serve_repository.h"

namespace restic::tools {
namespace {

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): no thread runs yet
  if (value == nullptr) return std::nullopt;
  return value;
}

// Everything that can be refused before anything is opened.
void check_places(Options& options) {
  options.mountpoint = resolve_mountpoint(options.mountpoint);
  if (options.location.kind == transport::Location::Kind::Local) {
    refuse_overlap(options.mountpoint, "the repository", options.location.where);
  }
  refuse_overlap(options.mountpoint, "the cache", options.cache_dir);
  if (!options.read_only) refuse_overlap(options.mountpoint, "the state folder", options.state_dir);
  constexpr const char* kConfiguration = "/etc/fuse.conf";
  if ((options.allow_other || options.allow_root) && ::geteuid() != 0 &&
      !others_may_be_let_in(kConfiguration)) {
    throw Error(Errc::Denied, std::string(options.allow_other ? "allow_other" : "allow_root") +
                                  " is for root only, unless " + kConfiguration +
                                  " has the line user_allow_other");
  }
}

ExitCode mount_it(Options options) {
  if (!options.name_space.empty()) enter_name_space(options.name_space);
  check_places(options);
  require_fuse_device();
  std::optional<std::string> password = find_password(options.password, variable);
  erase_variable("RESTIC_PASSWORD");
  Terminal terminal(options.repository);
  const Serve serve = [&](Startup& startup, StopSignals& signals) {
    serve_repository(options, std::move(password), startup, signals);
  };
  return options.foreground ? serve_in_foreground(serve, terminal) : serve_in_background(serve, terminal);
}

ExitCode fail(ExitCode code, const std::string& reason) {
  std::cerr << failure_line(reason) << '\n';
  return code;
}

ExitCode run(const std::vector<std::string>& args) {
  prepare_process();
  Options options;
  try {
    const CommandLine line = parse_command_line(args);
    if (line.help || line.version) {
      std::cout << (line.help ? help_text() : version_text());
      return ExitCode::Ok;
    }
    options = read_options(line, variable, ::geteuid());
  } catch (const Error& error) {
    return fail(ExitCode::Usage, error.what());
  }
  try {
    return mount_it(std::move(options));
  } catch (const Error& error) {
    return fail(ExitCode::MountFailed, error.what());
  }
}

}  // namespace
}  // namespace restic::tools

int main(int argc, char** argv) {
  try {
    return static_cast<int>(restic::tools::run({argv + 1, argv + argc}));
  } catch (const std::exception& failure) {
    std::cerr << restic::tools::failure_line(failure.what()) << '\n';
    return static_cast<int>(restic::tools::ExitCode::System);
  }
}
