// SPDX-License-Identifier: MIT
#include "repo/node_reader.h"

#include <grp.h>
#include <pwd.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <system_error>

namespace restic::repo {
namespace {

constexpr mode_t kRecordedModeBits = 07777;
// The kernel's own limits for a list of names and for a value.
constexpr std::size_t kMaxXattrBytes = 64U << 10U;
constexpr std::size_t kMaxUserEntry = 1U << 20U;

bool is_passing(int error_number) {
  constexpr std::array kPassing = {EMFILE, ENFILE, ENOMEM, ENOBUFS, EINTR, EAGAIN, ENOSPC, EDQUOT, ETIMEDOUT};
  return std::ranges::find(kPassing, error_number) != kPassing.end();
}

NodeType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return NodeType::File;
    case S_IFDIR:
      return NodeType::Dir;
    case S_IFLNK:
      return NodeType::Symlink;
    case S_IFBLK:
      return NodeType::Device;
    case S_IFCHR:
      return NodeType::CharDevice;
    case S_IFIFO:
      return NodeType::Fifo;
    case S_IFSOCK:
      return NodeType::Socket;
    default:
      return NodeType::Irregular;
  }
}

bool records_links(NodeType type) {
  return type == NodeType::File || type == NodeType::Symlink || type == NodeType::Device ||
         type == NodeType::CharDevice;
}

OwnedNode node_of(const struct stat& facts, const std::string& name, UserNames& users) {
  OwnedNode node;
  node.name = name;
  node.facts.type = type_of(facts.st_mode);
  node.facts.mode = facts.st_mode & kRecordedModeBits;
  node.facts.mtime = to_timestamp(facts.st_mtim);
  node.facts.atime = node.facts.mtime;
  node.facts.ctime = to_timestamp(facts.st_ctim);
  node.facts.uid = facts.st_uid;
  node.facts.gid = facts.st_gid;
  node.facts.user = users.user(facts.st_uid);
  node.facts.group = users.group(facts.st_gid);
  node.facts.inode = facts.st_ino;
  node.facts.device_id = facts.st_dev;
  if (records_links(node.facts.type)) node.facts.links = facts.st_nlink;
  if (node.facts.type == NodeType::Device || node.facts.type == NodeType::CharDevice) {
    node.facts.device = facts.st_rdev;
  }
  return node;
}

// Reads a list or value whose size is not known before: `read(nullptr, 0)` says how large it is now. False:
// there is none, which includes file systems without extended attributes.
using ReadSized = std::function<ssize_t(char* into, std::size_t size)>;
bool read_sized(const ReadSized& read, const std::string& path, std::string& out) {
  for (;;) {
    const ssize_t size = read(nullptr, 0);
    if (size >= 0) {
      if (static_cast<std::size_t>(size) > kMaxXattrBytes) throw UnreadableError(path, E2BIG);
      out.resize(static_cast<std::size_t>(size));
      const ssize_t got = size == 0 ? 0 : read(out.data(), out.size());
      if (got >= 0) {
        out.resize(static_cast<std::size_t>(got));
        return true;
      }
    }
    if (errno == ERANGE) continue;  // grew in between
    if (errno == ENODATA || errno == ENOTSUP || errno == EPERM) return false;
    throw UnreadableError(path, errno);
  }
}

using ListNames = ReadSized;
using ReadValue = std::function<ssize_t(const char* name, char* into, std::size_t size)>;
void read_xattrs(const ListNames& list, const ReadValue& get, const std::string& path, OwnedNode& node) {
  std::string names;
  if (!read_sized(list, path, names)) return;
  for (std::size_t at = 0; at < names.size();) {
    const std::string name(names.c_str() + at);
    at += name.size() + 1;
    std::string value;
    const auto read = [&](char* into, std::size_t size) { return get(name.c_str(), into, size); };
    if (read_sized(read, path, value)) node.xattrs.emplace_back(name, std::move(value));
  }
}

std::string read_link(int folder_fd, const std::string& name, const std::string& path) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t size = ::readlinkat(folder_fd, name.c_str(), target.data(), target.size());
    if (size < 0) throw UnreadableError(path, errno);
    if (static_cast<std::size_t>(size) < target.size()) {
      target.resize(static_cast<std::size_t>(size));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

// Asks getpwuid_r or getgrgid_r with as much memory as it needs.
template <class Entry, class Lookup>
std::string ask_name(Lookup lookup, char* Entry::*name) {
  std::string memory(1024, '\0');
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = lookup(&entry, memory.data(), memory.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && memory.size() < kMaxUserEntry) {
      memory.resize(memory.size() * 2);
      continue;
    }
    return error == 0 && found != nullptr ? found->*name : "";
  }
}

}  // namespace

UnreadableError::UnreadableError(const std::string& path, int error_number)
    : Error(Errc::Io, "cannot read " + (path.empty() ? "the folder" : path) + ": " +
                          std::generic_category().message(error_number)),
      passes_(is_passing(error_number)) {}

Node OwnedNode::view(std::vector<Xattr>& xattr_views) const {
  xattr_views.clear();
  for (const auto& [key, value] : xattrs) xattr_views.push_back({key, value});
  Node node = facts;
  node.name = name;
  node.link_target = link_target;
  node.content = content;
  node.xattrs = xattr_views;
  return node;
}

std::string_view UserNames::user(uid_t uid) {
  const std::lock_guard lock(mutex_);
  const auto [entry, is_new] = users_.try_emplace(uid);
  if (is_new) {
    entry->second =
        ask_name<passwd>([uid](passwd* into, char* memory, std::size_t size,
                               passwd** found) { return ::getpwuid_r(uid, into, memory, size, found); },
                         &passwd::pw_name);
  }
  return entry->second;
}

std::string_view UserNames::group(gid_t gid) {
  const std::lock_guard lock(mutex_);
  const auto [entry, is_new] = groups_.try_emplace(gid);
  if (is_new) {
    entry->second =
        ask_name<::group>([gid](::group* into, char* memory, std::size_t size,
                                ::group** found) { return ::getgrgid_r(gid, into, memory, size, found); },
                          &::group::gr_name);
  }
  return entry->second;
}

Timestamp to_timestamp(const timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

OwnedNode read_node(int fd, const struct stat& facts, const std::string& name, const std::string& path,
                    UserNames& users) {
  OwnedNode node = node_of(facts, name, users);
  read_xattrs(
      [fd](char* into, std::size_t size) { return ::flistxattr(fd, into, size); },
      [fd](const char* key, char* into, std::size_t size) { return ::fgetxattr(fd, key, into, size); }, path,
      node);
  return node;
}

OwnedNode read_node_at(int folder_fd, const struct stat& facts, const std::string& name,
                       const std::string& path, UserNames& users) {
  OwnedNode node = node_of(facts, name, users);
  if (node.facts.type == NodeType::Symlink) node.link_target = read_link(folder_fd, name, path);
  // There is no llistxattrat: the folder is reached by its descriptor, only the last step is by name.
  const std::string by_fd = "/proc/self/fd/" + std::to_string(folder_fd) + "/" + name;
  const char* const file = by_fd.c_str();
  read_xattrs(
      [file](char* into, std::size_t size) { return ::llistxattr(file, into, size); },
      [file](const char* key, char* into, std::size_t size) { return ::lgetxattr(file, key, into, size); },
      path, node);
  return node;
}

}  // namespace restic::repo
