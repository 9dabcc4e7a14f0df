// SPDX-License-Identifier: MIT
// Content of the files in `new/`.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "fs/staging_ops.h"

namespace restic::fs {
namespace {

// The descriptor must not append: pages written back after mmap may come through any handle of the file, and
// the kernel sends the right place with every write. Nor may it ask for aligned buffers.
constexpr int kNotPassedOn = O_NOFOLLOW | O_APPEND | O_DIRECT | O_CREAT | O_EXCL;

// A write past the cache by another user than ours, through a descriptor of ours or beside one: what the
// kernel does for cached writes.
void take_privileges_away(fuse_req_t req, const StagedHandle& handle) {
  struct stat status {};
  if (::fstat(handle.fd.get(), &status) != 0) return;
  const bool group_runs = (status.st_mode & S_IXGRP) != 0;
  const mode_t taken = S_ISUID | (group_runs ? S_ISGID : 0U);
  if ((status.st_mode & taken) == 0) return;
  ::fchmod(handle.fd.get(), status.st_mode & 07777U & ~taken);
  context_of(req).attributes_changed(handle.node->id);
}

void open(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  Staging& staging = staging_of(req);
  // With no change begun, which would hold up a commit and all others with it.
  if ((info->flags & O_ACCMODE) != O_WRONLY) {
    if (const StagedNodePtr found = staging.node(id)) {
      staging.nodes().await_uncached_writers(found, context_of(req).about_to_wait);
    }
  }
  const int flags = (info->flags & ~kNotPassedOn) | O_CLOEXEC;
  const bool changes = (info->flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
  // Reading what is being committed harms nobody.
  std::unique_ptr<const StagingChange> change;
  StagedNodePtr node;
  if (changes) {
    change = std::make_unique<const StagingChange>(staging, id);
    if (*change) node = change->node();
  } else {
    node = staging.node(id);
  }
  const SharedFd file = node ? staging.nodes().fd(node) : nullptr;
  if (!file) return reply_stale(req);
  if (changes) staging.closed_files().opened_for_writing(node);
  UniqueFd fd(::open(path_of(file).c_str(), flags));
  const int error = errno;
  if (fd) keep_handle(req, *info, std::move(fd), node);
  if (changes) staging.closed_files().closed_after_writing(node);
  if (info->fh == 0) {
    fuse_reply_err(req, error);
    return;
  }
  if (const int reply = fuse_reply_open(req, info); reply == -ENOENT) drop_handle(req, *info, reply);
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  drop_handle(req, *info);
  fuse_reply_err(req, 0);
}

void read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  fuse_bufvec content = FUSE_BUFVEC_INIT(size);
  content.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  content.buf[0].fd = handle_of(*info).fd.get();
  content.buf[0].pos = offset;
  fuse_reply_data(req, &content, FUSE_BUF_SPLICE_MOVE);
}

void write_buf(fuse_req_t req, fuse_ino_t, fuse_bufvec* content, off_t offset, fuse_file_info* info) {
  const StagedHandle& handle = handle_of(*info);
  const StagingChange change(staging_of(req), handle.node);
  if (!change) return reply_stale(req);
  if (!handle.mode.cached && !is_ours(req)) take_privileges_away(req, handle);
  fuse_bufvec file = FUSE_BUFVEC_INIT(fuse_buf_size(content));
  file.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  file.buf[0].fd = handle.fd.get();
  file.buf[0].pos = offset;
  const ssize_t written = fuse_buf_copy(&file, content, fuse_buf_copy_flags{});
  if (written < 0) {
    staging_of(req).closed_files().changed(handle.node);  // some of it may have been written
    fuse_reply_err(req, static_cast<int>(-written));
  } else {
    staging_of(req).closed_files().written(handle.node, static_cast<std::uint64_t>(offset),
                                           static_cast<std::uint64_t>(written));
    fuse_reply_write(req, static_cast<std::size_t>(written));
  }
}

void fsync(fuse_req_t req, fuse_ino_t, int only_data, fuse_file_info* info) {
  const int fd = handle_of(*info).fd.get();
  reply_errno(req, only_data != 0 ? ::fdatasync(fd) : ::fsync(fd));
}

void fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* info) {
  const StagedHandle& handle = handle_of(*info);
  const StagingChange change(staging_of(req), handle.node);
  if (!change) return reply_stale(req);
  const int result = ::fallocate(handle.fd.get(), mode, offset, length);
  const int error = errno;
  if (mode != FALLOC_FL_KEEP_SIZE) staging_of(req).closed_files().changed(handle.node);
  errno = error;
  reply_errno(req, result);
}

void lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  // Moves the descriptor's own position, which nothing else uses.
  const off_t place = ::lseek(handle_of(*info).fd.get(), offset, whence);
  if (place < 0) return reply_errno(req, -1);
  fuse_reply_lseek(req, place);
}

void copy_file_range(fuse_req_t req, fuse_ino_t, off_t from_offset, fuse_file_info* from, fuse_ino_t,
                     off_t to_offset, fuse_file_info* to, std::size_t size, int flags) {
  const StagedHandle& target = handle_of(*to);
  const StagingChange change(staging_of(req), target.node);
  if (!change) return reply_stale(req);
  const off_t to_start = to_offset;
  const ssize_t copied = ::copy_file_range(handle_of(*from).fd.get(), &from_offset, target.fd.get(),
                                           &to_offset, size, static_cast<unsigned>(flags));
  if (copied < 0) {
    const int error = errno;
    staging_of(req).closed_files().changed(target.node);  // some of it may have been written
    errno = error;
    return reply_errno(req, -1);
  }
  staging_of(req).closed_files().written(target.node, static_cast<std::uint64_t>(to_start),
                                         static_cast<std::uint64_t>(copied));
  fuse_reply_write(req, static_cast<std::size_t>(copied));
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& ops) {
  ops.open = open;
  ops.release = release;
  ops.read = read;
  ops.write_buf = write_buf;
  ops.fsync = fsync;
  ops.fallocate = fallocate;
  ops.lseek = lseek;
  ops.copy_file_range = copy_file_range;
}

}  // namespace restic::fs
