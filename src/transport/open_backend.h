// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "transport/backend.h"

namespace restic::transport {

struct BackendOptions {
  unsigned connections = 0;  // calls in flight at once; 0: the backend's own default
  // "" means "rclone" looked up in PATH, then in /usr/local/bin, /usr/bin and /bin when PATH is unset.
  std::string rclone_program;
  // "" means restic's own: "serve restic --stdio --b2-hard-delete". Split at white space, quotes honoured.
  std::string rclone_args;
};

// Where a REPOSITORY argument points, parsed: "rclone:REMOTE:PATH", "local:PATH" or a plain path.
struct Location {
  enum class Kind { Local, Rclone };
  Kind kind;
  std::string where;  // the local path, or REMOTE:PATH
};

// Throws Error{Usage} for an empty or unknown form ("s3:…": says that rclone reaches it).
Location parse_location(const std::string& repository);

// Opens a location with retries on top: a LocalBackend or an RcloneBackend inside a RetryBackend. Blocks
// until the storage answers: a folder that does not exist is NotFound, rclone missing is Usage, rclone dying
// at once or an unknown remote is Unavailable with rclone's own last words in the message. `log` must outlive
// the backend.
std::unique_ptr<Backend> open_backend(const Location& location, const BackendOptions& options, Log& log);

}  // namespace restic::transport
