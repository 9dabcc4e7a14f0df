// SPDX-License-Identifier: MIT
#include <vector>

#include "fs/ops.h"

namespace restic::fs {
namespace {

bool in_branch(fuse_req_t req, fuse_ino_t node) {
  return (node & kBranchBit) != 0 && context_of(req).branch != nullptr;
}

const fuse_lowlevel_ops& table_of(fuse_req_t req, fuse_ino_t node) {
  return in_branch(req, node) ? context_of(req).branch->operations() : vfs_operations();
}

// The operation of one member of the table, sent on by its node.
template <auto Member>
struct Route;
template <class... Args, void (*fuse_lowlevel_ops::*Member)(fuse_req_t, fuse_ino_t, Args...)>
struct Route<Member> {
  static void go(fuse_req_t req, fuse_ino_t node, Args... args) {
    const auto operation = table_of(req, node).*Member;
    if (operation != nullptr) {
      operation(req, node, args...);
    } else {
      fuse_reply_err(req, ENOSYS);
    }
  }
};

void symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  table_of(req, parent).symlink(req, target, parent, name);
}

void rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
            unsigned flags) {
  if (in_branch(req, parent) != in_branch(req, new_parent)) {
    fuse_reply_err(req, EXDEV);
  } else {
    Route<&fuse_lowlevel_ops::rename>::go(req, parent, name, new_parent, new_name, flags);
  }
}

void link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent, const char* new_name) {
  if (in_branch(req, node) != in_branch(req, new_parent)) {
    fuse_reply_err(req, EXDEV);
  } else {
    Route<&fuse_lowlevel_ops::link>::go(req, node, new_parent, new_name);
  }
}

void copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset, fuse_file_info* from_info,
                     fuse_ino_t to, off_t to_offset, fuse_file_info* to_info, std::size_t size, int flags) {
  const auto operation = table_of(req, to).copy_file_range;
  if (in_branch(req, from) != in_branch(req, to) || operation == nullptr) {
    fuse_reply_err(req, EXDEV);  // the caller copies by reading and writing, and goes on asking
  } else {
    operation(req, from, from_offset, from_info, to, to_offset, to_info, size, flags);
  }
}

void forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
  std::vector<fuse_forget_data> branch;
  for (std::size_t at = 0; at < count; ++at) {
    if (in_branch(req, forgets[at].ino)) {
      branch.push_back(forgets[at]);
    } else {
      context_of(req).vfs.forget(forgets[at].ino, forgets[at].nlookup);
    }
  }
  if (!branch.empty() && context_of(req).branch->operations().forget_multi != nullptr) {
    context_of(req).branch->operations().forget_multi(req, branch.size(), branch.data());
  } else {
    fuse_reply_none(req);
  }
}

}  // namespace

fuse_lowlevel_ops routed_operations() {
  using Ops = fuse_lowlevel_ops;
  Ops ops{};
  ops.lookup = Route<&Ops::lookup>::go;
  ops.forget = Route<&Ops::forget>::go;
  ops.getattr = Route<&Ops::getattr>::go;
  ops.setattr = Route<&Ops::setattr>::go;
  ops.readlink = Route<&Ops::readlink>::go;
  ops.mknod = Route<&Ops::mknod>::go;
  ops.mkdir = Route<&Ops::mkdir>::go;
  ops.unlink = Route<&Ops::unlink>::go;
  ops.rmdir = Route<&Ops::rmdir>::go;
  ops.symlink = symlink;
  ops.rename = rename;
  ops.link = link;
  ops.open = Route<&Ops::open>::go;
  ops.read = Route<&Ops::read>::go;
  ops.write_buf = Route<&Ops::write_buf>::go;
  ops.flush = Route<&Ops::flush>::go;
  ops.release = Route<&Ops::release>::go;
  ops.fsync = Route<&Ops::fsync>::go;
  ops.opendir = Route<&Ops::opendir>::go;
  ops.readdir = Route<&Ops::readdir>::go;
  ops.readdirplus = Route<&Ops::readdirplus>::go;
  ops.releasedir = Route<&Ops::releasedir>::go;
  ops.fsyncdir = Route<&Ops::fsyncdir>::go;
  ops.statfs = Route<&Ops::statfs>::go;
  ops.setxattr = Route<&Ops::setxattr>::go;
  ops.getxattr = Route<&Ops::getxattr>::go;
  ops.listxattr = Route<&Ops::listxattr>::go;
  ops.removexattr = Route<&Ops::removexattr>::go;
  ops.access = Route<&Ops::access>::go;
  ops.create = Route<&Ops::create>::go;
  ops.fallocate = Route<&Ops::fallocate>::go;
  ops.lseek = Route<&Ops::lseek>::go;
  ops.copy_file_range = copy_file_range;
  ops.ioctl = Route<&Ops::ioctl>::go;
  ops.forget_multi = forget_multi;
  return ops;
}

}  // namespace restic::fs
