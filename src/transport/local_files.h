// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "transport/backend.h"

namespace restic::transport {

// The blocking file operations under LocalBackend, with absolute paths. Each throws Error with a sentence
// that names the path. Thread-safe: they share nothing.

// The Error for an errno: ENOENT is NotFound, EACCES/EPERM/EROFS Denied, ENOSPC/EDQUOT Full, a dead network
// mount Unavailable, the rest Io. `what` is a verb with its object: "read /srv/repo/config".
Error system_error(int code, const std::string& what);

// All of a regular file; more than `limit` bytes is Damaged before memory is taken.
Bytes read_file(const std::string& path, std::uint64_t limit);
// Exactly `range`; Damaged when the file ends before it. `arriving` may be null.
Bytes read_file_range(const std::string& path, ByteRange range, const OnArriving& arriving = nullptr);

// How a new file is made.
struct NewFile {
  std::string folder;
  std::string name;

  mode_t mode;        // while it is written
  mode_t final_mode;  // after it has its name; a failure to set it is ignored, as restic does
  bool replace;       // false: an existing file is Usage
};
// Writes a temporary file beside the final name, syncs, renames, syncs the folder: whole or not at all.
void write_file(const NewFile& file, const Content& content);

// Regular files whose names are storage names. A missing folder is an empty list.
std::vector<FileInfo> list_files(const std::string& folder);
// Makes one folder; harmless when it exists. Durable once the folder above it is synced.
void make_folder(const std::string& path, mode_t mode);
// Makes the entries of a folder durable.
void sync_folder(const std::string& path);
void remove_file(const std::string& path);
bool file_exists(const std::string& path);

}  // namespace restic::transport
