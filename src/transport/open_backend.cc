// SPDX-License-Identifier: MIT
#include "transport/open_backend.h"

#include <utility>

#include "base/shell_words.h"
#include "transport/local_backend.h"
#include "transport/rclone_backend.h"
#include "transport/retry_backend.h"

namespace restic::transport {
namespace {

constexpr const char* kResticsArguments = "serve restic --stdio --b2-hard-delete";

std::unique_ptr<Backend> open_rclone(const std::string& remote, const BackendOptions& options, Log& log) {
  const std::string& arguments = options.rclone_args;
  RcloneCommand command{options.rclone_program.empty() ? "rclone" : options.rclone_program,
                        split_shell_words(arguments.empty() ? kResticsArguments : arguments)};
  RcloneLimits limits;
  RestLimits rest;
  if (options.connections != 0) limits.connection.streams = options.connections;
  rest.parallelism = limits.connection.streams;
  return std::make_unique<RcloneBackend>(std::move(command), remote, limits, rest, log);
}

}  // namespace

Location parse_location(const std::string& repository) {
  constexpr std::string_view kRclone = "rclone:";
  constexpr std::string_view kLocal = "local:";
  if (repository.empty()) throw Error(Errc::Usage, "no repository was named");
  if (repository.starts_with(kRclone)) {
    Location location{Location::Kind::Rclone, repository.substr(kRclone.size())};
    if (location.where.find(':') == std::string::npos) {
      throw Error(Errc::Usage, repository + " names no remote: it should be rclone:REMOTE:PATH");
    }
    // A remote that begins with a dash would be an option to rclone.
    if (location.where.front() == '-') throw Error(Errc::Usage, repository + " names no remote of rclone");
    return location;
  }
  if (repository.starts_with(kLocal)) {
    Location location{Location::Kind::Local, repository.substr(kLocal.size())};
    if (location.where.empty()) throw Error(Errc::Usage, repository + " names no folder");
    return location;
  }
  for (const char* other : {"sftp:", "rest:", "s3:", "b2:", "azure:", "gs:", "swift:"}) {
    if (!repository.starts_with(other)) continue;
    throw Error(Errc::Usage, repository +
                                 " is not reached directly: make it a remote of rclone and name it "
                                 "rclone:REMOTE:PATH");
  }
  return {Location::Kind::Local, repository};
}

std::unique_ptr<Backend> open_backend(const Location& location, const BackendOptions& options, Log& log) {
  std::unique_ptr<Backend> backend = location.kind == Location::Kind::Local
                                         ? std::make_unique<LocalBackend>(location.where, options.connections)
                                         : open_rclone(location.where, options, log);
  return std::make_unique<RetryBackend>(std::move(backend), RetryPolicy{}, make_timer(), log);
}

}  // namespace restic::transport
