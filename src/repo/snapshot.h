// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/timestamp.h"

namespace restic::repo {

// The largest snapshot file that is read, in bytes. restic sets no limit; a snapshot names its paths and
// excludes and little else.
inline constexpr std::uint64_t kMaxSnapshotFile = 16U << 20U;

// What restic >= 0.17 keeps of a backup run; counts and bytes.
struct SnapshotSummary {
  std::string backup_start, backup_end;  // RFC 3339 with nanoseconds
  std::uint64_t files_new = 0, files_changed = 0, files_unmodified = 0;
  std::uint64_t dirs_new = 0, dirs_changed = 0, dirs_unmodified = 0;
  std::uint64_t data_blobs = 0, tree_blobs = 0;
  std::uint64_t data_added = 0, data_added_packed = 0;
  std::uint64_t total_files_processed = 0, total_bytes_processed = 0;
};

// A snapshot file (FORMAT: snapshots).
struct Snapshot {
  Id id;  // the file's name; not part of the JSON
  Timestamp time;
  std::int32_t zone_seconds = 0;  // the offset the time was written in, east positive
  std::optional<Id> parent;
  Id tree;
  std::vector<std::string> paths;
  std::string hostname, username;
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::string> excludes, tags;
  std::optional<Id> original;
  std::string program_version;
  std::optional<SnapshotSummary> summary;
};

// From the file's plaintext. Throws Error{Damaged} that begins with "snapshots/<id>": bad JSON, no tree, no
// time.
Snapshot decode_snapshot(const Id& id, ByteView json);
// The plaintext to store, as restic writes it: empty members left out, the time in its zone.
std::string encode_snapshot(const Snapshot& snapshot);

}  // namespace restic::repo
