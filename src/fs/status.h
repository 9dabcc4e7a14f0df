// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "fs/committer.h"
#include "fs/vfs.h"
#include "repo/repository.h"

namespace restic::fs {

// What `.status` shows of `new/`; absent when the mount is read-only.
struct StagingFacts {
  std::string state_dir;
  bool something_staged = false;
  bool open_for_writing = false;
  std::vector<DropStatus> drops;
  std::vector<std::string> problems;  // left alone in the state folder
};

// What the user named.
struct StatusSource {
  std::string repository;
  std::string cache_dir;
  std::uint64_t cache_bytes = 0;  // the local cache's ceiling
};

// The text of `.status`: one fact a line, "key: value", groups set apart by an empty line, for people and for
// grep. Does no I/O on the network. Thread-safe.
std::string status_text(const StatusSource& source, repo::Repository& repository, const Vfs& vfs,
                        const Log& log, const StagingFacts* staging);

// The lines of one drop.
std::string drop_text(const DropStatus& drop);

// "1.5 MiB"; bytes below 1 KiB are exact.
std::string human_bytes(std::uint64_t bytes);

}  // namespace restic::fs
