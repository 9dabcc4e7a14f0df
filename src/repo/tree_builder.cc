// SPDX-License-Identifier: MIT
#include "repo/tree_builder.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"

namespace restic::repo {
namespace {

// A piece of the arena.
struct Text {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

// What the nodes of a directory mostly share; few exist, however many nodes do.
struct Owner {
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t device_id = 0;
  Text user, group;
};

// What few nodes have.
struct Extra {
  Text link_target;
  std::uint64_t device = 0;
  std::uint32_t first_xattr = 0, xattr_count = 0;
};

constexpr std::uint32_t kNoExtra = 0xffffffff;

struct Entry {
  std::int64_t mtime, atime, ctime;  // seconds
  std::uint32_t mtime_nanoseconds, atime_nanoseconds, ctime_nanoseconds;
  std::uint32_t owner, extra;
  std::uint32_t first_id, id_count;  // content of a file, subtree of a folder
  Text name;
  std::uint16_t mode;
  NodeType type;
  std::uint64_t inode, size, links;
};
static_assert(sizeof(Entry) == 88);

// How many owners back an equal one is looked for.
constexpr std::size_t kOwnerWindow = 8;

std::uint32_t checked_u32(std::size_t value) {
  if (value >= std::numeric_limits<std::uint32_t>::max()) throw Error(Errc::Damaged, "the tree is too large");
  return static_cast<std::uint32_t>(value);
}

}  // namespace

class TreeBuilder::CompactTree final : public Tree {
 public:
  std::size_t size() const override { return entries_.size(); }
  std::size_t dir_count() const override { return dir_count_; }
  std::size_t memory_bytes() const override;
  Node node(std::size_t position) const override;
  std::optional<std::size_t> find(std::string_view name) const override;

  void reserve_text(std::size_t bytes) { arena_.reserve(bytes); }
  void add(const Node& node);
  void finish();

 private:
  std::string_view text(Text place) const { return {arena_.data() + place.offset, place.length}; }
  std::string_view name_of(const Entry& entry) const { return text(entry.name); }
  Text store(std::string_view bytes);
  std::uint32_t owner_of(const Node& node);
  std::uint32_t extra_of(const Node& node);
  void sort_by_name();

  std::vector<Entry> entries_;
  std::vector<Owner> owners_;
  std::vector<Extra> extras_;
  std::vector<Id> ids_;
  std::vector<std::pair<Text, Text>> xattr_places_;  // until finish()
  std::vector<Xattr> xattrs_;
  std::vector<char> arena_;
  std::size_t dir_count_ = 0;
};

std::size_t TreeBuilder::CompactTree::memory_bytes() const {
  return sizeof(*this) + entries_.capacity() * sizeof(Entry) + owners_.capacity() * sizeof(Owner) +
         extras_.capacity() * sizeof(Extra) + ids_.capacity() * sizeof(Id) +
         xattrs_.capacity() * sizeof(Xattr) + arena_.capacity();
}

Node TreeBuilder::CompactTree::node(std::size_t position) const {
  const Entry& entry = entries_.at(position);
  const Owner& owner = owners_[entry.owner];
  Node node;
  node.name = name_of(entry);
  node.type = entry.type;
  node.mode = entry.mode;
  node.mtime = {entry.mtime, entry.mtime_nanoseconds};
  node.atime = {entry.atime, entry.atime_nanoseconds};
  node.ctime = {entry.ctime, entry.ctime_nanoseconds};
  node.uid = owner.uid;
  node.gid = owner.gid;
  node.user = text(owner.user);
  node.group = text(owner.group);
  node.inode = entry.inode;
  node.device_id = owner.device_id;
  node.size = entry.size;
  node.links = entry.links;
  const std::span<const Id> ids = std::span(ids_).subspan(entry.first_id, entry.id_count);
  if (entry.type == NodeType::File) node.content = ids;
  if (entry.type == NodeType::Dir && !ids.empty()) node.subtree = ids.front();
  if (entry.extra != kNoExtra) {
    const Extra& extra = extras_[entry.extra];
    node.link_target = text(extra.link_target);
    node.device = extra.device;
    node.xattrs = std::span(xattrs_).subspan(extra.first_xattr, extra.xattr_count);
  }
  return node;
}

std::optional<std::size_t> TreeBuilder::CompactTree::find(std::string_view name) const {
  const auto found = std::partition_point(entries_.begin(), entries_.end(),
                                          [&](const Entry& entry) { return name_of(entry) < name; });
  if (found == entries_.end() || name_of(*found) != name) return std::nullopt;
  return static_cast<std::size_t>(found - entries_.begin());
}

void TreeBuilder::CompactTree::add(const Node& node) {
  Entry entry{};
  entry.mtime = node.mtime.seconds;
  entry.atime = node.atime.seconds;
  entry.ctime = node.ctime.seconds;
  entry.mtime_nanoseconds = node.mtime.nanoseconds;
  entry.atime_nanoseconds = node.atime.nanoseconds;
  entry.ctime_nanoseconds = node.ctime.nanoseconds;
  entry.owner = owner_of(node);
  entry.extra = extra_of(node);
  entry.first_id = checked_u32(ids_.size());
  if (node.type == NodeType::File) ids_.insert(ids_.end(), node.content.begin(), node.content.end());
  if (node.type == NodeType::Dir && node.subtree) ids_.push_back(*node.subtree);
  entry.id_count = checked_u32(ids_.size()) - entry.first_id;
  entry.name = store(node.name);
  entry.mode = static_cast<std::uint16_t>(node.mode & 07777U);
  entry.type = node.type;
  entry.inode = node.inode;
  entry.size = node.size;
  entry.links = node.links;
  checked_u32(entries_.size());
  entries_.push_back(entry);
}

void TreeBuilder::CompactTree::finish() {
  sort_by_name();
  for (const Entry& entry : entries_) dir_count_ += entry.type == NodeType::Dir ? 1U : 0U;
  entries_.shrink_to_fit();
  owners_.shrink_to_fit();
  extras_.shrink_to_fit();
  ids_.shrink_to_fit();
  arena_.shrink_to_fit();
  // From here on the arena stays where it is, so that views into it may be kept.
  xattrs_.reserve(xattr_places_.size());
  for (const auto& [name, value] : xattr_places_) xattrs_.push_back({text(name), text(value)});
  xattr_places_ = {};
}

Text TreeBuilder::CompactTree::store(std::string_view bytes) {
  const Text place{checked_u32(arena_.size()), checked_u32(bytes.size())};
  checked_u32(arena_.size() + bytes.size());
  arena_.insert(arena_.end(), bytes.begin(), bytes.end());
  return place;
}

std::uint32_t TreeBuilder::CompactTree::owner_of(const Node& node) {
  const std::size_t oldest = owners_.size() > kOwnerWindow ? owners_.size() - kOwnerWindow : 0;
  for (std::size_t i = owners_.size(); i-- > oldest;) {
    const Owner& owner = owners_[i];
    if (owner.uid == node.uid && owner.gid == node.gid && owner.device_id == node.device_id &&
        text(owner.user) == node.user && text(owner.group) == node.group) {
      return static_cast<std::uint32_t>(i);
    }
  }
  owners_.push_back({node.uid, node.gid, node.device_id, store(node.user), store(node.group)});
  return checked_u32(owners_.size() - 1);
}

std::uint32_t TreeBuilder::CompactTree::extra_of(const Node& node) {
  if (node.link_target.empty() && node.device == 0 && node.xattrs.empty()) return kNoExtra;
  Extra extra;
  extra.link_target = store(node.link_target);
  extra.device = node.device;
  extra.first_xattr = checked_u32(xattr_places_.size());
  extra.xattr_count = checked_u32(node.xattrs.size());
  for (const Xattr& xattr : node.xattrs) {
    const Text name = store(xattr.name);
    xattr_places_.emplace_back(name, store(xattr.value));
  }
  extras_.push_back(extra);
  return checked_u32(extras_.size() - 1);
}

void TreeBuilder::CompactTree::sort_by_name() {
  const auto before = [this](const Entry& a, const Entry& b) { return name_of(a) < name_of(b); };
  const auto equal = [this](const Entry& a, const Entry& b) { return name_of(a) == name_of(b); };
  if (!std::is_sorted(entries_.begin(), entries_.end(), before)) {
    std::stable_sort(entries_.begin(), entries_.end(), before);
  }
  entries_.erase(std::unique(entries_.begin(), entries_.end(), equal), entries_.end());
}

TreeBuilder::TreeBuilder(std::size_t expected_bytes) : tree_(std::make_shared<CompactTree>()) {
  tree_->reserve_text(expected_bytes);
}

TreeBuilder::~TreeBuilder() = default;

void TreeBuilder::add(const Node& node) { tree_->add(node); }

TreePtr TreeBuilder::finish() {
  tree_->finish();
  return std::move(tree_);
}

}  // namespace restic::repo
