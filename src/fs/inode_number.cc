// SPDX-License-Identifier: MIT
#include "fs/inode_number.h"

#include <array>
#include <bit>
#include <cstring>

namespace restic::fs {
namespace {

static_assert(std::endian::native == std::endian::little, "the words are read as the CPU has them");

constexpr std::uint64_t kPrime1 = 11400714785074694791ULL;
constexpr std::uint64_t kPrime2 = 14029467366897019727ULL;
constexpr std::uint64_t kPrime3 = 1609587929392839161ULL;
constexpr std::uint64_t kPrime4 = 9650029242287828579ULL;
constexpr std::uint64_t kPrime5 = 2870177450012600261ULL;

template <class Word>
std::uint64_t take(const std::uint8_t*& at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  at += sizeof word;
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) {
  return (hash ^ round(0, lane)) * kPrime1 + kPrime4;
}

// 0 means "no inode" and 1 is the root.
std::uint64_t usable(std::uint64_t inode) { return inode <= kRootInode ? inode + 2 : inode; }

void append(Bytes& to, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  to.insert(to.end(), bytes, bytes + size);
}

}  // namespace

std::uint64_t xxh64(ByteView data) noexcept {
  const std::uint8_t* at = data.data();
  const std::uint8_t* const end = at + data.size();
  std::uint64_t hash = kPrime5;
  if (data.size() >= 32) {
    std::array<std::uint64_t, 4> lanes{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
    while (end - at >= 32) {
      for (auto& lane : lanes) lane = round(lane, take<std::uint64_t>(at));
    }
    hash =
        std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const auto lane : lanes) hash = merge(hash, lane);
  }
  hash += data.size();
  while (end - at >= 8) hash = std::rotl(hash ^ round(0, take<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (end - at >= 4) hash = std::rotl(hash ^ (take<std::uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
  while (at != end) hash = std::rotl(hash ^ (take<std::uint8_t>(at) * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33U)) * kPrime2;
  hash = (hash ^ (hash >> 29U)) * kPrime3;
  return hash ^ (hash >> 32U);
}

std::uint64_t child_inode(std::uint64_t parent, std::string_view name) noexcept {
  return usable((parent * kPrime1) ^ xxh64(as_bytes(name)));
}

std::uint64_t hard_link_inode(std::uint64_t snapshot_inode, const repo::Node& node) {
  Bytes known_by;
  known_by.reserve(32 + node.link_target.size() + node.content.size_bytes());
  append(known_by, &node.device_id, sizeof node.device_id);
  append(known_by, &node.inode, sizeof node.inode);
  append(known_by, &node.type, sizeof node.type);
  append(known_by, &node.device, sizeof node.device);
  append(known_by, node.link_target.data(), node.link_target.size());
  append(known_by, node.content.data(), node.content.size_bytes());
  return usable((snapshot_inode * kPrime1) ^ xxh64(known_by));
}

std::uint64_t entry_inode(std::uint64_t folder_inode, std::uint64_t snapshot_inode, const repo::Node& node) {
  const bool linked = node.type != repo::NodeType::Dir && node.links > 1;
  return linked ? hard_link_inode(snapshot_inode, node) : child_inode(folder_inode, node.name);
}

}  // namespace restic::fs
