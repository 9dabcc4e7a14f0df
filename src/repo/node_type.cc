// SPDX-License-Identifier: MIT
#include "repo/node_type.h"

#include <array>
#include <utility>

namespace restic::repo {
namespace {

struct TypeRow {
  NodeType type;
  std::string_view spelling;
  std::uint32_t go_bits;
};

constexpr std::uint32_t bit(unsigned position) { return std::uint32_t{1} << position; }

// In the order of NodeType.
constexpr std::array<TypeRow, 8> kTypes{{
    {NodeType::File, "file", 0},
    {NodeType::Dir, "dir", bit(31)},
    {NodeType::Symlink, "symlink", bit(27)},
    {NodeType::Device, "dev", bit(26)},
    {NodeType::CharDevice, "chardev", bit(26) | bit(21)},
    {NodeType::Fifo, "fifo", bit(25)},
    {NodeType::Socket, "socket", bit(24)},
    {NodeType::Irregular, "irregular", bit(19)},
}};

// Go's bit and st_mode's.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 3> kSpecialBits{{
    {bit(23), 04000},  // setuid
    {bit(22), 02000},  // setgid
    {bit(20), 01000},  // sticky
}};

constexpr std::uint32_t kPermissions = 0777;

}  // namespace

NodeType node_type_of(std::string_view spelling) {
  for (const TypeRow& row : kTypes) {
    if (row.spelling == spelling) return row.type;
  }
  return NodeType::Irregular;
}

std::string_view spelling_of(NodeType type) { return kTypes.at(static_cast<std::size_t>(type)).spelling; }

std::uint32_t posix_mode_of(std::uint32_t go_mode) {
  std::uint32_t mode = go_mode & kPermissions;
  for (const auto& [go, posix] : kSpecialBits) {
    if ((go_mode & go) != 0) mode |= posix;
  }
  return mode;
}

std::uint32_t go_mode_of(NodeType type, std::uint32_t posix_mode) {
  std::uint32_t mode = (posix_mode & kPermissions) | kTypes.at(static_cast<std::size_t>(type)).go_bits;
  for (const auto& [go, posix] : kSpecialBits) {
    if ((posix_mode & posix) != 0) mode |= go;
  }
  return mode;
}

}  // namespace restic::repo
