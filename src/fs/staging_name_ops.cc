// SPDX-License-Identifier: MIT
// Names in `new/`: looking up, making, renaming and removing them.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>

#include "fs/caller_identity.h"
#include "fs/staging_ops.h"

namespace restic::fs {
namespace {

bool status_of(int folder, const char* name, struct stat& status) {
  return ::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

// Of what was just removed: whether nothing but an open file can still refer to it.
bool was_last_name(const struct stat& status) { return S_ISDIR(status.st_mode) || status.st_nlink == 1; }

void reply_entry(fuse_req_t req, Staging& staging, const fuse_entry_param& entry) {
  // The kernel counts a lookup only when it got the answer.
  if (fuse_reply_entry(req, &entry) == -ENOENT) staging.nodes().forget(entry.ino, 1);
}

void lookup(fuse_req_t req, fuse_ino_t parent_id, const char* name) {
  Staging& staging = staging_of(req);
  const StagedNodePtr parent = staging.node(parent_id);
  const SharedFd folder = parent ? staging.nodes().fd(parent) : nullptr;
  if (!folder) return reply_stale(req);
  struct stat status {};
  if (status_of(folder->get(), name, status)) {
    return reply_entry(req, staging, staged_entry(staging, parent_id, parent, name, status));
  }
  if (errno != ENOENT) return reply_errno(req, -1);
  fuse_entry_param absent{};
  absent.entry_timeout = Staging::is_top(parent_id) ? 0.0 : kForever;
  fuse_reply_entry(req, &absent);
}

void forget(fuse_req_t req, fuse_ino_t id, std::uint64_t lookups) {
  staging_of(req).nodes().forget(id, lookups);
  fuse_reply_none(req);
}

void forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
  StagedNodes& nodes = staging_of(req).nodes();
  for (std::size_t i = 0; i < count; ++i) nodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

// Makes something new in a folder as the caller and answers with its entry. `make` gets the folder's
// descriptor.
template <class Make>
void make_entry(fuse_req_t req, fuse_ino_t parent_id, const char* name, const Make& make) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, parent_id);
  const SharedFd folder = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!folder) return reply_stale(req);
  const fuse_ctx* caller = fuse_req_ctx(req);
  int result = 0;
  {
    const CallerIdentity identity(caller->uid, caller->gid, caller->umask);
    result = make(folder->get());
  }
  struct stat status {};
  if (result != 0 || !status_of(folder->get(), name, status)) return reply_errno(req, -1);
  reply_entry(req, staging, staged_entry(staging, parent_id, change.node(), name, status));
}

void mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  make_entry(req, parent, name, [&](int folder) { return ::mknodat(folder, name, mode, device); });
}

void mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  make_entry(req, parent, name, [&](int folder) { return ::mkdirat(folder, name, mode); });
}

void symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  make_entry(req, parent, name, [&](int folder) { return ::symlinkat(target, folder, name); });
}

void link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent_id, const char* name) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, parent_id);
  const StagedNodePtr node = staging.node(id);
  if (!change || !change.covers(node)) return reply_stale(req);
  const SharedFd folder = staging.nodes().fd(change.node());
  const SharedFd file = folder ? staging.nodes().fd(node) : nullptr;
  if (!file) return reply_errno(req, -1);
  struct stat status {};
  if (::linkat(AT_FDCWD, path_of(file).c_str(), folder->get(), name, AT_SYMLINK_FOLLOW) != 0 ||
      !status_of(folder->get(), name, status)) {
    return reply_errno(req, -1);
  }
  reply_entry(req, staging, staged_entry(staging, parent_id, change.node(), name, status));
}

void remove(fuse_req_t req, fuse_ino_t parent_id, const char* name, int flags) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, parent_id);
  const SharedFd folder = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!folder) return reply_stale(req);
  struct stat status {};
  if (!status_of(folder->get(), name, status)) return reply_errno(req, -1);
  const FileKey key{status.st_dev, status.st_ino};
  staging.nodes().name_goes(change.node(), name, key);
  const int result = ::unlinkat(folder->get(), name, flags);
  const int error = errno;
  if (result != 0) {
    staging.nodes().name_is(change.node(), name, key);
  } else if (was_last_name(status)) {
    staging.nodes().removed(key);
  }
  errno = error;
  reply_errno(req, result);
}

void unlink(fuse_req_t req, fuse_ino_t parent, const char* name) { remove(req, parent, name, 0); }
void rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) { remove(req, parent, name, AT_REMOVEDIR); }

void rename(fuse_req_t req, fuse_ino_t parent_id, const char* name, fuse_ino_t new_parent_id,
            const char* new_name, unsigned flags) {
  Staging& staging = staging_of(req);
  StagedNodes& nodes = staging.nodes();
  const StagingChange change(staging, parent_id);
  const StagedNodePtr target = staging.node(new_parent_id);
  if (!change || !change.covers(target)) return reply_stale(req);
  const SharedFd from = nodes.fd(change.node());
  const SharedFd to = from ? nodes.fd(target) : nullptr;
  struct stat moved {};
  struct stat replaced {};
  if (!to || !status_of(from->get(), name, moved)) return reply_errno(req, -1);
  const FileKey moved_key{moved.st_dev, moved.st_ino};
  const bool replaces = status_of(to->get(), new_name, replaced);
  const FileKey replaced_key{replaced.st_dev, replaced.st_ino};
  // Neither may depend on its name while names change.
  nodes.name_goes(change.node(), name, moved_key);
  if (replaces) nodes.name_goes(target, new_name, replaced_key);
  const int result = ::renameat2(from->get(), name, to->get(), new_name, flags);
  const int error = errno;
  if (result != 0) {
    nodes.name_is(change.node(), name, moved_key);
    if (replaces) nodes.name_is(target, new_name, replaced_key);
  } else if (!replaces || replaced_key != moved_key) {
    nodes.name_is(target, new_name, moved_key);
    if ((flags & RENAME_EXCHANGE) != 0) {
      nodes.name_is(change.node(), name, replaced_key);
    } else if (replaces && was_last_name(replaced)) {
      nodes.removed(replaced_key);
    }
  }
  errno = error;
  reply_errno(req, result);
}

void readlink(fuse_req_t req, fuse_ino_t id) {
  Staging& staging = staging_of(req);
  const StagedNodePtr node = staging.node(id);
  const SharedFd link = node ? staging.nodes().fd(node) : nullptr;
  if (!link) return reply_stale(req);
  char target[PATH_MAX + 1];
  const ssize_t length = ::readlinkat(link->get(), "", target, PATH_MAX);
  if (length < 0) return reply_errno(req, -1);
  target[length] = '\0';
  fuse_reply_readlink(req, target);
}

void create(fuse_req_t req, fuse_ino_t parent_id, const char* name, mode_t mode, fuse_file_info* info) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, parent_id);
  const SharedFd folder = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!folder) return reply_stale(req);
  const fuse_ctx* caller = fuse_req_ctx(req);
  UniqueFd fd;
  {
    const CallerIdentity identity(caller->uid, caller->gid, caller->umask);
    const int flags = (info->flags & ~(O_APPEND | O_DIRECT)) | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    fd = UniqueFd(::openat(folder->get(), name, flags, mode));
  }
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return reply_errno(req, -1);
  const fuse_entry_param entry = staged_entry(staging, parent_id, change.node(), name, status);
  keep_handle(req, *info, std::move(fd), staging.nodes().find(entry.ino));
  if (const int reply = fuse_reply_create(req, &entry, info); reply == -ENOENT) {
    drop_handle(req, *info, reply);
    staging.nodes().forget(entry.ino, 1);
  }
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& ops) {
  ops.lookup = lookup;
  ops.forget = forget;
  ops.forget_multi = forget_multi;
  ops.mknod = mknod;
  ops.mkdir = mkdir;
  ops.symlink = symlink;
  ops.link = link;
  ops.unlink = unlink;
  ops.rmdir = rmdir;
  ops.rename = rename;
  ops.readlink = readlink;
  ops.create = create;
}

}  // namespace restic::fs
