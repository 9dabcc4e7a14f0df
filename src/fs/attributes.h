// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

#include "repo/id.h"
#include "repo/tree.h"

namespace restic::fs {

// What the user asked to see instead of what was recorded.
struct Ownership {
  std::optional<std::uint32_t> uid, gid;
  std::uint32_t umask = 0;
};

// The chunk that restic's chunker cuts long runs of zeros into: 512 KiB of nothing, known by its SHA-256.
// restic does not record holes; these chunks are where they were.
inline constexpr std::uint64_t kZeroChunkSize = 512ULL * 1024;
bool is_zero_chunk(const repo::Id& id) noexcept;

// What stat(2) shows of an entry of a tree. The type comes from the entry's type, never from its mode; zero
// chunks take no blocks. Everything is clamped to what the kernel takes. Pure.
struct stat attributes_of(const repo::Node& node, std::uint64_t inode, std::uint64_t dir_links,
                          const Ownership& ownership);

// A folder, link or text file that no tree records. `type_and_mode` as st_mode has it.
struct stat made_up_attributes(std::uint64_t inode, std::uint32_t type_and_mode, std::uint64_t links,
                               repo::Timestamp time, std::uint32_t uid, std::uint32_t gid);

}  // namespace restic::fs
