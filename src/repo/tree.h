// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/timestamp.h"

namespace restic::repo {

enum class NodeType : std::uint8_t { File, Dir, Symlink, Device, CharDevice, Fifo, Socket, Irregular };

struct Xattr {
  std::string_view name;  // as the kernel knows it: "user.comment"
  std::string_view value;
};

// One entry of a directory as a tree blob records it (FORMAT: trees and nodes). A view into its Tree: cheap
// to copy, valid as long as the Tree is.
struct Node {
  std::string_view name;  // raw bytes; never empty, ".", "..", nor with '/' or NUL
  NodeType type = NodeType::File;
  std::uint32_t mode =
      0;  // permission, setuid, setgid and sticky bits as st_mode has them; type bits from `type`
  Timestamp mtime = kNoTime, atime = kNoTime, ctime = kNoTime;
  std::uint32_t uid = 0, gid = 0;
  std::string_view user, group;
  std::uint64_t inode = 0, device_id = 0;
  std::uint64_t size = 0;
  std::uint64_t links = 0;
  std::uint64_t device = 0;  // st_rdev
  std::string_view link_target;
  std::span<const Id> content;  // File
  std::optional<Id> subtree;    // Dir; absent: recorded without one, cannot be entered
  std::span<const Xattr> xattrs;
};

// A decoded directory, immutable and compact (fixed-size entries, one arena for names and the rest), sorted
// by raw name, no duplicates (the first of a name wins). Thread-safe to read.
class Tree {
 public:
  virtual ~Tree() = default;
  virtual std::size_t size() const = 0;
  virtual Node node(std::size_t position) const = 0;
  virtual std::optional<std::size_t> find(std::string_view name) const = 0;
  virtual std::size_t dir_count() const = 0;     // for nlink
  virtual std::size_t memory_bytes() const = 0;  // what keeping it costs
};
using TreePtr = std::shared_ptr<const Tree>;

// Decodes a tree blob the way restic does, in its strictest version: exactly one object with an array
// `nodes`, nothing after it, every member of its type and range; one bad node spoils the tree. Names that
// cannot be shown (empty, ".",
// "..", with '/' or NUL) are left out and counted in `left_out` (may be null). A node of no type we know
// comes as Irregular, a folder whose subtree is missing or zero without one, a file whose content is missing
// with none; times not recorded are kNoTime. Sizes are as recorded: hostile ones go up to 2^64-1 and need not
// fit the content. Thread-safe. Throws Error{Damaged}; the caller says which tree.
TreePtr decode_tree(ByteView blob, std::size_t* left_out = nullptr);

}  // namespace restic::repo
