// SPDX-License-Identifier: MIT
#pragma once

#include <unordered_set>

#include "fs/staged_nodes.h"

namespace restic::fs {

// Moves the files in `keys`, under all their names, from one folder tree to the same places in another, and
// makes the folders on the way there like those here (owner, mode, times, xattrs). Returns the keys that were
// found; the others have no name any more. Both are on one file system. Blocks on the local disk; throws
// Error{Io, Full}: what was moved until then stays moved, nothing is lost.
std::unordered_set<FileKey, FileKeyHash> move_files(int from, int to,
                                                    const std::unordered_set<FileKey, FileKeyHash>& keys);

}  // namespace restic::fs
