// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "repo/blob.h"
#include "repo/repository.h"

namespace restic::fs {

using NodeId = std::uint64_t;  // dense, 1 is the root; not the inode number that stat shows
inline constexpr NodeId kRootNode = 1;

// How long the kernel may believe an answer.
inline constexpr double kForever = 1e9;

struct Entry {
  NodeId node = 0;
  struct stat attributes {};
  double timeout = kForever;  // seconds, for the name and the attributes
};

struct DirEntry {
  std::string_view name;
  std::uint64_t cookie;  // pass it on to go on behind this entry
  Entry entry;           // node 0: type and inode number only ("." and "..")
};

// Where a read is answered from: pieces of pinned memory, in order. An empty list is the end of the file.
struct ReadPiece {
  repo::BlobPtr pin;
  ByteView bytes;
};

struct VfsOptions {
  std::vector<std::string> hosts, tags, paths;  // selection; empty: all
  std::vector<std::string> path_templates;      // empty: ids/%i snapshots/%T hosts/%h/%T tags/%t/%T
  std::string time_template = "%Y-%m-%dT%H:%M:%S%Ez";  // strftime; the default is RFC 3339 with the stored offset
  std::chrono::seconds refresh{60};
  std::optional<std::uint32_t> uid, gid;  // shown instead of the recorded owners
  std::uint32_t umask = 0;                // taken off every mode
  std::uint32_t meta_uid = 0, meta_gid = 0;  // who owns the folders that are not in a snapshot
};

// A text file in the root that is made anew at each open, such as `.status`.
struct TextFile {
  std::string name;
  std::function<std::string()> render;
};

}  // namespace restic::fs
