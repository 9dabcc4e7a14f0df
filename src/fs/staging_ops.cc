// SPDX-License-Identifier: MIT
#include "fs/staging_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

namespace restic::fs {

StagedHandle& handle_of(const fuse_file_info& info) { return OpenHandles::at<StagedHandle>(info.fh); }

bool is_ours(fuse_req_t req) { return fuse_req_ctx(req)->uid == ::geteuid(); }

void keep_handle(fuse_req_t req, fuse_file_info& info, UniqueFd fd, const StagedNodePtr& node) {
  Staging& staging = staging_of(req);
  const int access = info.flags & O_ACCMODE;
  // What other users write had better go through the cache, where the kernel itself takes setuid bits away.
  const OpenMode mode = staging.nodes().opened(node, {.reads = access != O_WRONLY,
                                                      .writes = access != O_RDONLY,
                                                      .cached = access != O_WRONLY || !is_ours(req)});
  // Writes of a descriptor with O_DIRECT may come side by side.
  const bool sequential = (info.flags & O_DIRECT) == 0;
  if (mode.writes) staging.closed_files().opened_for_writing(node, sequential ? fd.get() : -1);
  info.fh =
      context_of(req).handles.keep(std::make_unique<StagedHandle>(StagedHandle{std::move(fd), node, mode}));
  info.direct_io = mode.cached ? 0 : 1;
  // Everything else that changes a staged file goes through the cache, so what is in it stays true.
  info.keep_cache = mode.cached && !staging.nodes().written_uncached(node) ? 1 : 0;
}

void drop_handle(fuse_req_t req, const fuse_file_info& info, int reply) {
  Staging& staging = staging_of(req);
  const std::unique_ptr<StagedHandle> handle = context_of(req).handles.take<StagedHandle>(info.fh);
  staging.nodes().closed(handle->node, handle->mode, reply == 0);
  if (!handle->mode.writes) return;
  staging.note_change();
  staging.closed_files().closed_after_writing(handle->node);
}

struct stat shown(struct stat status) {
  constexpr blksize_t kWorthAWrite = 1 << 20;
  if (S_ISREG(status.st_mode)) status.st_blksize = kWorthAWrite;
  return status;
}

double name_timeout(NodeId parent) { return Staging::is_top(parent) ? kShortly : kForever; }

fuse_entry_param staged_entry(Staging& staging, NodeId parent_id, const StagedNodePtr& parent,
                              const char* name, const struct stat& status) {
  fuse_entry_param entry{};
  entry.ino = staging.nodes().remember(parent, name, status)->id;
  entry.attr = shown(status);
  entry.attr_timeout = kForever;
  entry.entry_timeout = name_timeout(parent_id);
  return entry;
}

void reply_errno(fuse_req_t req, int result) { fuse_reply_err(req, result == 0 ? 0 : errno); }

void reply_stale(fuse_req_t req) { fuse_reply_err(req, ESTALE); }

const ::fuse_lowlevel_ops& Staging::operations() const {
  static const fuse_lowlevel_ops kOperations = [] {
    fuse_lowlevel_ops ops{};
    add_name_operations(ops);
    add_attribute_operations(ops);
    add_file_operations(ops);
    add_folder_operations(ops);
    return ops;
  }();
  return kOperations;
}

}  // namespace restic::fs
