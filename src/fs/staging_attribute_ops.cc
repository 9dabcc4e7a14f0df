// SPDX-License-Identifier: MIT
// Attributes, extended attributes and access lists of what is in `new/`.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "fs/staging_ops.h"
#include "repo/utf8.h"

namespace restic::fs {
namespace {

constexpr std::size_t kLargestXattr = 65536;  // bytes, as in the kernel

double attribute_timeout(fuse_ino_t id) { return Staging::is_top(id) ? kShortly : kForever; }

SharedFd fd_of(fuse_req_t req, fuse_ino_t id) {
  Staging& staging = staging_of(req);
  const StagedNodePtr node = staging.node(id);
  return node ? staging.nodes().fd(node) : nullptr;
}

void getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
  const SharedFd fd = fd_of(req, id);
  if (!fd) return reply_stale(req);
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return reply_errno(req, -1);
  const struct stat attributes = shown(status);
  fuse_reply_attr(req, &attributes, attribute_timeout(id));
}

timespec time_to_set(const timespec& value, int set, int set_flag, int now_flag) {
  if ((set & now_flag) != 0) return {0, UTIME_NOW};
  if ((set & set_flag) != 0) return value;
  return {0, UTIME_OMIT};
}

// Changes the file behind an O_PATH descriptor, in the order in which each change leaves the others alone.
int apply(const SharedFd& fd, const struct stat& wanted, int set) {
  const int file = fd->get();
  if ((set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (set & FUSE_SET_ATTR_UID) != 0 ? wanted.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (set & FUSE_SET_ATTR_GID) != 0 ? wanted.st_gid : static_cast<gid_t>(-1);
    if (::fchownat(file, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return -1;
  }
  if ((set & FUSE_SET_ATTR_MODE) != 0 && ::chmod(path_of(fd).c_str(), wanted.st_mode & 07777U) != 0)
    return -1;
  if ((set & FUSE_SET_ATTR_SIZE) != 0 && ::truncate(path_of(fd).c_str(), wanted.st_size) != 0) return -1;
  constexpr int kTimes =
      FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
  if ((set & kTimes) == 0) return 0;
  const timespec times[2] = {time_to_set(wanted.st_atim, set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW),
                             time_to_set(wanted.st_mtim, set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW)};
  return ::utimensat(file, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

void setattr(fuse_req_t req, fuse_ino_t id, struct stat* wanted, int set, fuse_file_info* info) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, id);
  const SharedFd fd = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!fd) return reply_stale(req);
  const bool resizes = (set & FUSE_SET_ATTR_SIZE) != 0;
  // With a handle its opening was the notice.
  const bool noted = resizes && info == nullptr;
  if (noted) staging.closed_files().opened_for_writing(change.node());
  int result = 0;
  if (resizes && info != nullptr) {
    // The file may have been opened with rights that its path no longer gives.
    result = ::ftruncate(handle_of(*info).fd.get(), wanted->st_size);
    const int error = errno;
    staging.closed_files().changed(change.node());
    errno = error;
    set &= ~FUSE_SET_ATTR_SIZE;
  }
  if (result == 0) result = apply(fd, *wanted, set);
  const int error = errno;
  if (noted) staging.closed_files().closed_after_writing(change.node());
  errno = error;
  struct stat status {};
  if (result != 0 || ::fstat(fd->get(), &status) != 0) return reply_errno(req, -1);
  const struct stat attributes = shown(status);
  fuse_reply_attr(req, &attributes, attribute_timeout(id));
}

void access(fuse_req_t req, fuse_ino_t id, int mask) {
  const SharedFd fd = fd_of(req, id);
  if (!fd) return reply_stale(req);
  reply_errno(req, ::faccessat(AT_FDCWD, path_of(fd).c_str(), mask, AT_EACCESS));
}

void getxattr(fuse_req_t req, fuse_ino_t id, const char* name, std::size_t size) {
  const SharedFd fd = fd_of(req, id);
  if (!fd) return reply_stale(req);
  std::vector<char> value(std::min(size, kLargestXattr));
  const ssize_t length = ::getxattr(path_of(fd).c_str(), name, value.data(), value.size());
  if (length < 0) return reply_errno(req, -1);
  if (size == 0) {
    fuse_reply_xattr(req, static_cast<std::size_t>(length));
  } else {
    fuse_reply_buf(req, value.data(), static_cast<std::size_t>(length));
  }
}

void listxattr(fuse_req_t req, fuse_ino_t id, std::size_t size) {
  const SharedFd fd = fd_of(req, id);
  if (!fd) return reply_stale(req);
  std::vector<char> names(std::min(size, kLargestXattr));
  const ssize_t length = ::listxattr(path_of(fd).c_str(), names.data(), names.size());
  if (length < 0) return reply_errno(req, -1);
  if (size == 0) {
    fuse_reply_xattr(req, static_cast<std::size_t>(length));
  } else {
    fuse_reply_buf(req, names.data(), static_cast<std::size_t>(length));
  }
}

void setxattr(fuse_req_t req, fuse_ino_t id, const char* name, const char* value, std::size_t size,
              int flags) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, id);
  const SharedFd fd = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!fd) return reply_stale(req);
  // A snapshot holds these names as text: other bytes would come back as something else.
  if (!repo::is_valid_utf8(name)) {
    fuse_reply_err(req, EILSEQ);
    return;
  }
  reply_errno(req, ::setxattr(path_of(fd).c_str(), name, value, size, flags));
}

void removexattr(fuse_req_t req, fuse_ino_t id, const char* name) {
  Staging& staging = staging_of(req);
  const StagingChange change(staging, id);
  const SharedFd fd = change ? staging.nodes().fd(change.node()) : nullptr;
  if (!fd) return reply_stale(req);
  reply_errno(req, ::removexattr(path_of(fd).c_str(), name));
}

void statfs(fuse_req_t req, fuse_ino_t id) {
  const SharedFd fd = fd_of(req, id);
  if (!fd) return reply_stale(req);
  struct statvfs status {};
  if (::fstatvfs(fd->get(), &status) != 0) return reply_errno(req, -1);
  fuse_reply_statfs(req, &status);
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& ops) {
  ops.getattr = getattr;
  ops.setattr = setattr;
  ops.access = access;
  ops.getxattr = getxattr;
  ops.listxattr = listxattr;
  ops.setxattr = setxattr;
  ops.removexattr = removexattr;
  ops.statfs = statfs;
}

}  // namespace restic::fs
