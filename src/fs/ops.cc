// SPDX-License-Identifier: MIT
#include "fs/ops.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace restic::fs {
namespace {

constexpr std::size_t kMostPieces = 512;            // of one reply; writev(2) takes 1024
constexpr std::size_t kLargestListing = 1U << 20U;  // bytes of one reply

// ---- handles: what fi->fh points at

template <class Handle>
void keep(fuse_req_t req, std::shared_ptr<Handle> handle, fuse_file_info& info) {
  info.fh = context_of(req).handles.keep(std::make_unique<std::shared_ptr<Handle>>(std::move(handle)));
}
template <class Handle>
std::shared_ptr<Handle>& kept(const fuse_file_info& info) {
  return OpenHandles::at<std::shared_ptr<Handle>>(info.fh);
}
template <class Handle>
void drop(fuse_req_t req, const fuse_file_info& info) {
  context_of(req).handles.take<std::shared_ptr<Handle>>(info.fh);
}

// ---- names and attributes

void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  answer(req, [&] {
    Vfs& vfs = context_of(req).vfs;
    const auto found = vfs.lookup(parent, name);
    fuse_entry_param param{};
    if (found) {
      param = entry_param(*found);
    } else {
      param.entry_timeout = vfs.absence_timeout(parent);
    }
    // The kernel counts a lookup only when it got the answer.
    if (fuse_reply_entry(req, &param) == -ENOENT && found) vfs.forget(found->node, 1);
  });
}

void forget(fuse_req_t req, fuse_ino_t node, std::uint64_t lookups) {
  context_of(req).vfs.forget(node, lookups);
  fuse_reply_none(req);
}

void getattr(fuse_req_t req, fuse_ino_t node, fuse_file_info*) {
  answer(req, [&] {
    const auto entry = context_of(req).vfs.attributes(node);
    if (entry) {
      fuse_reply_attr(req, &entry->attributes, entry->attribute_timeout);
    } else {
      fuse_reply_err(req, ESTALE);
    }
  });
}

void readlink(fuse_req_t req, fuse_ino_t node) {
  answer(req, [&] {
    const auto target = context_of(req).vfs.read_link(node);
    if (target) {
      fuse_reply_readlink(req, target->c_str());
    } else {
      fuse_reply_err(req, EINVAL);
    }
  });
}

// Who may enter is the kernel's to decide (default_permissions); what is left is what not even root may:
// write here, and run what is no program. Any folder can be entered.
void access(fuse_req_t req, fuse_ino_t node, int mask) {
  answer(req, [&] {
    const auto entry = context_of(req).vfs.attributes(node);
    int error = 0;
    if (!entry) {
      error = ESTALE;
    } else if ((mask & W_OK) != 0) {
      error = EROFS;
    } else if ((mask & X_OK) != 0 && !S_ISDIR(entry->attributes.st_mode) &&
               (entry->attributes.st_mode & 0111U) == 0) {
      error = EACCES;
    }
    fuse_reply_err(req, error);
  });
}

// ---- folders

void opendir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  answer(req, [&] {
    Vfs& vfs = context_of(req).vfs;
    auto dir = vfs.open_dir(node);
    if (!dir) {
      fuse_reply_err(req, ENOENT);
      return;
    }
    const bool final = vfs.listing_is_final(*dir);
    info->keep_cache = final ? 1 : 0;
    info->cache_readdir = final ? 1 : 0;
    keep(req, std::move(dir), *info);
    if (fuse_reply_open(req, info) == -ENOENT) drop<OpenDir>(req, *info);
  });
}

template <bool Plus>
void list(fuse_req_t req, std::size_t size, off_t offset, const fuse_file_info* info) {
  answer(req, [&] {
    Bytes listing(std::min(size, kLargestListing));
    char* const begin = reinterpret_cast<char*>(listing.data());
    std::size_t used = 0;
    const auto add = [&](const DirEntry& entry) {
      const std::string name(entry.name);  // ends in NUL, which a view need not
      char* const at = begin + used;
      const std::size_t room = listing.size() - used;
      std::size_t needed = 0;
      if constexpr (Plus) {
        const fuse_entry_param param = entry_param(entry.entry);
        needed =
            fuse_add_direntry_plus(req, at, room, name.c_str(), &param, static_cast<off_t>(entry.cookie));
      } else {
        needed = fuse_add_direntry(req, at, room, name.c_str(), &entry.entry.attributes,
                                   static_cast<off_t>(entry.cookie));
      }
      if (needed > room) return false;
      used += needed;
      return true;
    };
    const std::shared_ptr<OpenDir> dir = kept<OpenDir>(*info);
    context_of(req).vfs.read_dir(*dir, static_cast<std::uint64_t>(offset), Plus, add);
    fuse_reply_buf(req, begin, used);
  });
}

void readdir(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  list<false>(req, size, offset, info);
}
void readdirplus(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  list<true>(req, size, offset, info);
}
void releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  drop<OpenDir>(req, *info);
  fuse_reply_err(req, 0);
}

// ---- files

void open(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  answer(req, [&] {
    if ((info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC) != 0) {
      fuse_reply_err(req, EROFS);
      return;
    }
    Vfs& vfs = context_of(req).vfs;
    auto file = vfs.open_file(node);
    if (!file) {
      fuse_reply_err(req, ENOENT);
      return;
    }
    const bool final = vfs.content_is_final(*file);
    info->keep_cache = final ? 1 : 0;
    info->direct_io = final ? 0 : 1;
    info->noflush = 1;
    keep(req, std::move(file), *info);
    if (fuse_reply_open(req, info) == -ENOENT) drop<OpenFile>(req, *info);
  });
}

// The kernel copies straight from the pinned blobs. A file of very many tiny blobs is put together first.
void reply_pieces(fuse_req_t req, const std::vector<ReadPiece>& pieces) {
  if (pieces.size() > kMostPieces) {
    Bytes whole;
    for (const auto& piece : pieces) whole.insert(whole.end(), piece.bytes.begin(), piece.bytes.end());
    fuse_reply_buf(req, reinterpret_cast<const char*>(whole.data()), whole.size());
    return;
  }
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  for (const auto& piece : pieces) {
    parts.push_back({const_cast<std::uint8_t*>(piece.bytes.data()), piece.bytes.size()});
  }
  fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
}

void read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  answer(req, [&] {
    const auto interrupted = [req] {
      context_of(req).about_to_wait();
      return fuse_req_interrupted(req) != 0;
    };
    // Ours until after the reply, on which the kernel may release the handle at once.
    const std::shared_ptr<OpenFile> file = kept<OpenFile>(*info);
    const auto pieces =
        context_of(req).vfs.read(*file, static_cast<std::uint64_t>(offset), size, interrupted);
    reply_pieces(req, pieces);
  });
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  drop<OpenFile>(req, *info);
  fuse_reply_err(req, 0);
}

void lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  answer(req, [&] {
    const auto found = context_of(req).vfs.seek(*kept<OpenFile>(*info), static_cast<std::uint64_t>(offset),
                                                whence == SEEK_DATA);
    if (found) {
      fuse_reply_lseek(req, static_cast<off_t>(*found));
    } else {
      fuse_reply_err(req, ENXIO);
    }
  });
}

void statfs(fuse_req_t req, fuse_ino_t) {
  answer(req, [&] {
    const struct statvfs statistics = context_of(req).vfs.statistics();
    fuse_reply_statfs(req, &statistics);
  });
}

// ---- extended attributes

// The kernel asks for the size first (`size` 0) and for the value then.
void reply_sized(fuse_req_t req, const std::string& value, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, value.data(), value.size());
  }
}

void getxattr(fuse_req_t req, fuse_ino_t node, const char* name, std::size_t size) {
  answer(req, [&] {
    const auto value = context_of(req).vfs.xattr(node, name);
    if (value) {
      reply_sized(req, *value, size);
    } else {
      fuse_reply_err(req, ENODATA);
    }
  });
}

void listxattr(fuse_req_t req, fuse_ino_t node, std::size_t size) {
  answer(req, [&] {
    std::string names;
    for (const auto& name : context_of(req).vfs.xattr_names(node)) names.append(name).push_back('\0');
    reply_sized(req, names, size);
  });
}

// ---- what changes nothing, and what would

template <int Error, class... Args>
void refuse(fuse_req_t req, fuse_ino_t, Args...) {
  fuse_reply_err(req, Error);
}
template <int Error, class... Args>
void set_refusal(void (*&operation)(fuse_req_t, fuse_ino_t, Args...)) {
  operation = refuse<Error, Args...>;
}
template <class... Operations>
void refuse_writes(Operations&... operations) {
  (set_refusal<EROFS>(operations), ...);
}

fuse_lowlevel_ops make_vfs_operations() {
  fuse_lowlevel_ops ops{};
  ops.lookup = lookup;
  ops.forget = forget;
  ops.getattr = getattr;
  ops.readlink = readlink;
  ops.access = access;
  ops.opendir = opendir;
  ops.readdir = readdir;
  ops.readdirplus = readdirplus;
  ops.releasedir = releasedir;
  ops.open = open;
  ops.read = read;
  ops.release = release;
  ops.lseek = lseek;
  ops.statfs = statfs;
  ops.getxattr = getxattr;
  ops.listxattr = listxattr;
  refuse_writes(ops.setattr, ops.mknod, ops.mkdir, ops.unlink, ops.rmdir, ops.rename, ops.link, ops.create,
                ops.write, ops.write_buf, ops.setxattr, ops.removexattr, ops.fallocate);
  ops.symlink = [](fuse_req_t req, const char*, fuse_ino_t, const char*) { fuse_reply_err(req, EROFS); };
  set_refusal<0>(ops.fsync);  // nothing is unwritten
  set_refusal<0>(ops.fsyncdir);
  set_refusal<0>(ops.flush);
  return ops;
}

}  // namespace

fuse_entry_param entry_param(const Entry& entry) {
  fuse_entry_param param{};
  param.ino = entry.node;
  param.attr = entry.attributes;
  param.attr_timeout = entry.attribute_timeout;
  param.entry_timeout = entry.name_timeout;
  return param;
}

const fuse_lowlevel_ops& vfs_operations() {
  static const fuse_lowlevel_ops kOperations = make_vfs_operations();
  return kOperations;
}

}  // namespace restic::fs
