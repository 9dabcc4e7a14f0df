// SPDX-License-Identifier: MIT
#pragma once

#include <unordered_set>

#include "fs/staged_nodes.h"

namespace restic::fs {

// Both work on two folder trees of one file system, at any depth, with few descriptors. They block on the
// local disk and throw Error{Io, Full}: what was moved until then stays moved, nothing is lost.
// Where a name is taken, the file that comes gets another one, "NAME.1" and so on; nothing is replaced.

// Moves the files in `keys`, under all their names, from one tree to the same places in the other, and makes
// the folders on the way there like those here (owner, mode, times, xattrs). Files without a name stay.
void move_files(int from, int to, const std::unordered_set<FileKey, FileKeyHash>& keys);
// Moves everything but folders back to where move_files() took it from.
void move_back(int from, int to);

}  // namespace restic::fs
