// SPDX-License-Identifier: MIT
#include "fs/attributes.h"

#include <algorithm>
#include <limits>

namespace restic::fs {
namespace {

constexpr repo::Id kZeroChunk{{0x07, 0x85, 0x4d, 0x2f, 0xef, 0x29, 0x7a, 0x06, 0xba, 0x81, 0x68,
                               0x5e, 0x66, 0x0c, 0x33, 0x2d, 0xe3, 0x6d, 0x5d, 0x18, 0xd5, 0x46,
                               0x92, 0x7d, 0x30, 0xda, 0xad, 0x6d, 0x7f, 0xda, 0x15, 0x41}};
constexpr std::uint64_t kStatBlock = 512;
// How much cat and cp read at once: as much as the kernel asks us for in one request.
constexpr int kBlockSize = 1 << 20;

mode_t type_bits(repo::NodeType type) {
  switch (type) {
    case repo::NodeType::Dir:
      return S_IFDIR;
    case repo::NodeType::Symlink:
      return S_IFLNK;
    case repo::NodeType::Device:
      return S_IFBLK;
    case repo::NodeType::CharDevice:
      return S_IFCHR;
    case repo::NodeType::Fifo:
      return S_IFIFO;
    case repo::NodeType::Socket:
      return S_IFSOCK;
    case repo::NodeType::File:
    case repo::NodeType::Irregular:
      break;
  }
  return S_IFREG;
}

timespec time_of(const repo::Timestamp& time) {
  return {.tv_sec = time.seconds, .tv_nsec = static_cast<long>(std::min(time.nanoseconds, 999'999'999U))};
}

std::uint64_t stored_blocks(const repo::Node& node, std::uint64_t size) {
  const auto holes =
      static_cast<std::uint64_t>(std::count_if(node.content.begin(), node.content.end(), is_zero_chunk));
  const std::uint64_t blocks = size / kStatBlock + (size % kStatBlock != 0 ? 1 : 0);
  return blocks - std::min(blocks, holes * (kZeroChunkSize / kStatBlock));
}

}  // namespace

bool is_zero_chunk(const repo::Id& id) noexcept { return id == kZeroChunk; }

struct stat attributes_of(const repo::Node& node, std::uint64_t inode, std::uint64_t dir_links,
                          const Ownership& ownership) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  struct stat result {};
  result.st_ino = inode;
  result.st_mode = type_bits(node.type) | (node.mode & 07777U);
  if (node.type != repo::NodeType::Symlink) result.st_mode &= ~static_cast<mode_t>(ownership.umask & 0777U);
  result.st_nlink = node.type == repo::NodeType::Dir ? dir_links : std::max<std::uint64_t>(1, node.links);
  result.st_uid = ownership.uid.value_or(node.uid);
  result.st_gid = ownership.gid.value_or(node.gid);
  result.st_blksize = kBlockSize;
  if (node.type == repo::NodeType::File) {
    const std::uint64_t size = std::min(node.size, kLargest);
    result.st_size = static_cast<off_t>(size);
    result.st_blocks = static_cast<blkcnt_t>(stored_blocks(node, size));
  } else if (node.type == repo::NodeType::Symlink) {
    result.st_size = static_cast<off_t>(node.link_target.size());
  } else if (node.type == repo::NodeType::Device || node.type == repo::NodeType::CharDevice) {
    result.st_rdev = node.device;
  }
  result.st_mtim = time_of(node.mtime);
  result.st_atim = time_of(node.atime);
  result.st_ctim = time_of(node.ctime);
  return result;
}

struct stat made_up_attributes(std::uint64_t inode, std::uint32_t type_and_mode, std::uint64_t links,
                               repo::Timestamp time, std::uint32_t uid, std::uint32_t gid) {
  struct stat result {};
  result.st_ino = inode;
  result.st_mode = type_and_mode;
  result.st_nlink = links;
  result.st_uid = uid;
  result.st_gid = gid;
  result.st_blksize = kBlockSize;
  result.st_mtim = result.st_atim = result.st_ctim = time_of(time);
  return result;
}

}  // namespace restic::fs
