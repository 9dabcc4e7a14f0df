// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "repo/snapshot.h"

namespace restic::fs {

// Where a path template puts one snapshot.
struct TemplatePath {
  std::string
      folder;  // what comes before a closing %T, or the whole path; names joined by '/', none at the ends
  std::string time;  // what a closing %T stands for; empty when the template does not end in %T
};

// A template as `restic mount --path-template` has it: %i short id, %I long id, %u user, %h host, %t one path
// for each tag, %T the time; any other letter stands for itself (FORMAT: restic mount). What snapshots bring
// in is made safe: ".." becomes "__", "." vanishes, no NUL, names of 255 bytes at most. A single tag, a host
// or a user with
// '/' gives nested folders, as in restic; of several tags each has its '/' replaced by '_'. Immutable.
class PathTemplate {
 public:
  explicit PathTemplate(std::string text) : text_(std::move(text)) {}

  // The folder that exists even with no snapshot in it: everything before the first folder with a %-code.
  std::string fixed_folder() const;
  std::vector<TemplatePath> expand(const repo::Snapshot& snapshot, const std::string& time_template) const;

 private:
  std::string text_;
};

// The snapshot's time, in the offset it was written in. `time_template` is strftime's; empty gives RFC 3339.
std::string snapshot_time_text(const repo::Snapshot& snapshot, const std::string& time_template);

// Splits a path at its slashes and makes each name safe to show; empty names and "." vanish, as in restic.
std::vector<std::string> safe_names(std::string_view path);

}  // namespace restic::fs
