// SPDX-License-Identifier: MIT
#include "fs/staging_ops.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <utility>

namespace restic::fs {

StagedHandle& handle_of(const fuse_file_info& info) { return OpenHandles::at<StagedHandle>(info.fh); }

void keep_handle(fuse_req_t req, fuse_file_info& info, UniqueFd fd, const StagedNodePtr& node) {
  Staging& staging = staging_of(req);
  const bool writes = (info.flags & O_ACCMODE) != O_RDONLY;
  staging.nodes().opened(node);
  // Writes of a descriptor without the cache may come side by side.
  const bool sequential = (info.flags & O_DIRECT) == 0;
  if (writes) staging.closed_files().opened_for_writing(node, sequential ? fd.get() : -1);
  info.fh =
      context_of(req).handles.keep(std::make_unique<StagedHandle>(StagedHandle{std::move(fd), node, writes}));
  // Everything that changes a staged file goes through the kernel, so what it cached stays true.
  info.keep_cache = 1;
}

void drop_handle(fuse_req_t req, const fuse_file_info& info) {
  Staging& staging = staging_of(req);
  const std::unique_ptr<StagedHandle> handle = context_of(req).handles.take<StagedHandle>(info.fh);
  staging.nodes().closed(handle->node);
  if (!handle->writes) return;
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
