// SPDX-License-Identifier: MIT
#include "fs/node_table.h"

#include <limits>

#include "base/error.h"
#include "fs/inode_number.h"

namespace restic::fs {
namespace {

constexpr std::size_t kFirstSlots = 1024;  // a power of two, as ever after

std::size_t hash(std::uint32_t parent, std::uint32_t place) {
  std::uint64_t key = (std::uint64_t{parent} << 32U) | place;
  key = (key ^ (key >> 31U)) * 0x7fb5d329728ea185ULL;
  key = (key ^ (key >> 27U)) * 0x81dadef4bc2dd44dULL;
  return key ^ (key >> 33U);
}

// Takes a number from the free list, or a new one at the end.
template <class T>
std::uint32_t take(std::deque<T>& all, std::vector<std::uint32_t>& free) {
  if (!free.empty()) {
    const auto number = free.back();
    free.pop_back();
    return number;
  }
  if (all.size() >= std::numeric_limits<std::uint32_t>::max()) {
    throw Error(Errc::Io, "the kernel holds too many files of this mount");
  }
  all.emplace_back();
  return static_cast<std::uint32_t>(all.size() - 1);
}

}  // namespace

NodeTable::NodeTable() : records_(kRootNode + 1), dirs_(1), slots_(kFirstSlots, kNone) {
  Record& root = records_[kRootNode];
  root.inode = kRootInode;
  root.uses = 1;
  root.in_use = true;
}

std::size_t NodeTable::slot_of(std::uint32_t parent, std::uint32_t place) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash(parent, place) & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot] == kNone) return slot;
    const Record& record = records_[slots_[slot]];
    if (record.parent == parent && record.place == place) return slot;
  }
}

void NodeTable::grow() {
  std::vector<std::uint32_t> old(slots_.size() * 2, kNone);
  old.swap(slots_);
  for (const auto number : old) {
    if (number != kNone) slots_[slot_of(records_[number].parent, records_[number].place)] = number;
  }
}

// Moves later entries of the probe sequence back, so that no tombstones are needed.
void NodeTable::erase_slot(std::size_t slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = slot;
  for (std::size_t next = (slot + 1) & mask; slots_[next] != kNone; next = (next + 1) & mask) {
    const Record& record = records_[slots_[next]];
    const std::size_t home = hash(record.parent, record.place) & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      slots_[hole] = slots_[next];
      hole = next;
    }
  }
  slots_[hole] = kNone;
}

bool NodeTable::valid(NodeId node) const {
  return node != 0 && node < records_.size() && records_[node].in_use;
}

NodeId NodeTable::acquire(const NodeRef& ref) {
  std::lock_guard lock(mutex_);
  const auto parent = static_cast<std::uint32_t>(ref.parent);
  std::size_t slot = slot_of(parent, ref.place);
  if (slots_[slot] != kNone) {
    ++records_[slots_[slot]].uses;
    return slots_[slot];
  }
  if ((used_ + 1) * 3 > slots_.size() * 2) {
    grow();
    slot = slot_of(parent, ref.place);
  }
  const bool is_dir = ref.kind == NodeKind::Dir || ref.kind == NodeKind::Snapshot;
  const std::uint32_t number = take(records_, free_);
  Record& record = records_[number];
  record = {
      .inode = ref.inode, .uses = 1, .parent = parent, .place = ref.place, .kind = ref.kind, .in_use = true};
  if (is_dir) {
    record.dir = take(dirs_, free_dirs_);
    dirs_[record.dir] = ref.dir;
  }
  slots_[slot] = number;
  ++used_;
  ++records_[parent].uses;
  return number;
}

void NodeTable::forget(NodeId node, std::uint64_t lookups) {
  std::lock_guard lock(mutex_);
  while (valid(node) && node != kRootNode) {
    Record& record = records_[node];
    record.uses -= std::min(record.uses, lookups);
    if (record.uses != 0) return;
    erase_slot(slot_of(record.parent, record.place));
    --used_;
    if (record.dir != 0) free_dirs_.push_back(record.dir);
    record.in_use = false;
    free_.push_back(static_cast<std::uint32_t>(node));
    node = record.parent;
    lookups = 1;
  }
}

std::optional<NodeRef> NodeTable::get(NodeId node) const {
  std::lock_guard lock(mutex_);
  if (!valid(node)) return std::nullopt;
  const Record& record = records_[node];
  return NodeRef{record.kind, record.parent, record.place, record.inode, dirs_[record.dir]};
}

std::optional<NodeId> NodeTable::find(NodeId parent, std::uint32_t place) const {
  std::lock_guard lock(mutex_);
  if (!valid(parent)) return std::nullopt;
  const auto number = slots_[slot_of(static_cast<std::uint32_t>(parent), place)];
  if (number == kNone) return std::nullopt;
  return number;
}

std::size_t NodeTable::size() const {
  std::lock_guard lock(mutex_);
  return used_ + 1;
}

}  // namespace restic::fs
