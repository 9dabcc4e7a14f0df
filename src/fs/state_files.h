// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::fs {

// Small helpers for the state folder. All work relative to a folder's descriptor, block on the local disk and
// throw Error: Full for a full disk or quota, Denied, NotFound, else Io; the message names `what` and the
// reason.

// The Error for a failed system call; `error` is its errno.
Error system_error(const std::string& what, int error);

UniqueFd open_folder(int parent, const std::string& name);  // AT_FDCWD: a path
void make_folder(int parent, const std::string& name, unsigned mode);
void sync_folder(int folder);
void sync_disk(int folder);  // the whole file system that it is on
void rename_in(int folder, const std::string& from, const std::string& to);

// Names in a folder without "." and "..", sorted. At most `limit`: more is Error{Io}.
std::vector<std::string> list_folder(int folder, std::size_t limit);
// Whether nothing in a folder can be in a snapshot: it is empty but for sockets, which restic leaves out.
bool holds_nothing(int folder);

// Writes a file whole or not at all: a temporary name, synced, renamed over `name`, folder synced.
void replace_file(int folder, const std::string& name, ByteView content);
// nullopt: there is none. More than `limit` bytes is Error{Damaged}.
std::optional<Bytes> read_file(int folder, const std::string& name, std::size_t limit);
void remove_file(int folder, const std::string& name);  // its absence is fine

// Names this run of the machine, in letters and digits: another one after each start. "unknown" when the
// machine does not say.
std::string boot_id();

// Deletes a folder and all below it, whatever the modes (as far as their owner may) and however deep.
void remove_tree(int parent, const std::string& name);

}  // namespace restic::fs
