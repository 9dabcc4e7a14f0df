// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "repo/tree.h"

namespace restic::fs {

// XXH64 with seed 0, as its specification defines it.
std::uint64_t xxh64(ByteView data) noexcept;

// The inode numbers that `restic mount` (0.15 and later) shows, so that tools that remember them keep working
// (FORMAT: restic mount). The root has number 1. Pure functions.
inline constexpr std::uint64_t kRootInode = 1;
std::uint64_t child_inode(std::uint64_t parent, std::string_view name) noexcept;

// Links of one file share a number inside one snapshot and never across snapshots; restic's formula shares it
// across snapshots too, which makes `rsync -H` link different versions together. A recorded (device, inode)
// pair alone is not believed: the content takes part, so that forged numbers cannot merge different files.
std::uint64_t hard_link_inode(std::uint64_t snapshot_inode, const repo::Node& node);

// The number that an entry of a folder inside a snapshot is shown with: one of the two above.
std::uint64_t entry_inode(std::uint64_t folder_inode, std::uint64_t snapshot_inode, const repo::Node& node);

}  // namespace restic::fs
