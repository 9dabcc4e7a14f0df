// SPDX-License-Identifier: MIT
// For the .cc files of the operations on `new/` only: it includes the FUSE headers.
#pragma once

#include <string>

#include "fs/ops.h"
#include "fs/staging.h"

namespace restic::fs {

// The operations on `new/` pass system calls through to the staging folder, so their errors are errno and are
// answered as they are.

inline Staging& staging_of(fuse_req_t req) { return *static_cast<Staging*>(context_of(req).branch); }

// The way to act on the file itself behind an O_PATH descriptor, for calls that take a path only.
inline std::string path_of(const SharedFd& fd) { return "/proc/self/fd/" + std::to_string(fd->get()); }

// A file open in `new/`: what fi->fh points at.
struct StagedHandle {
  UniqueFd fd;
  StagedNodePtr node;
  OpenMode mode;
};
StagedHandle& handle_of(const fuse_file_info& info);
// Hands an opened file to the kernel's handle.
void keep_handle(fuse_req_t req, fuse_file_info& info, UniqueFd fd, const StagedNodePtr& node);
// `reply` is what answering the opening came to: not 0 where the kernel never had the handle.
void drop_handle(fuse_req_t req, const fuse_file_info& info, int reply = 0);
// Whether the caller is the user whom we run as.
bool is_ours(fuse_req_t req);

// Whether a name directly in `new/` may be believed for ever: it may not, for it is gone after the next seal,
// also for those who still hold the folder of before.
double name_timeout(NodeId parent);
// The attributes as the kernel is told them: as they are, but that programs had better write files a MiB at a
// time, for each write is a request, and the kernel asks for a capability of the file before each.
struct stat shown(struct stat status);
// The entry of `name` in `parent`, counted as one lookup.
fuse_entry_param staged_entry(Staging& staging, NodeId parent_id, const StagedNodePtr& parent,
                              const char* name, const struct stat& status);
void reply_errno(fuse_req_t req, int result);  // 0, or -1 with errno set
// The file is in a sealed tray or gone: the kernel looks its path up again.
void reply_stale(fuse_req_t req);

// The parts of the table.
void add_name_operations(fuse_lowlevel_ops& ops);
void add_attribute_operations(fuse_lowlevel_ops& ops);
void add_file_operations(fuse_lowlevel_ops& ops);
void add_folder_operations(fuse_lowlevel_ops& ops);

}  // namespace restic::fs
