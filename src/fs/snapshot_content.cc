// SPDX-License-Identifier: MIT
#include "fs/snapshot_content.h"

#include <algorithm>

#include "base/error.h"
#include "fs/inode_number.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLongestListed = 1024;  // the kernel refuses a whole listing for one longer name
constexpr std::size_t kLongestTarget = 4095;  // of a symlink, as the kernel takes it
constexpr std::size_t kLongestXattrName = 255;
constexpr std::size_t kTreesAhead = 1024;  // asked for when a folder is listed
constexpr auto kIndexPause = 10s;          // between reloads for things that no index names

bool is_leaf(const repo::Node& node) { return node.type != repo::NodeType::Dir; }

bool can_be_shown(const repo::Xattr& xattr) {
  return !xattr.name.empty() && xattr.name.size() <= kLongestXattrName &&
         xattr.name.find('\0') == std::string_view::npos;
}

std::uint64_t inode_of(const NodeRef& parent, const repo::Node& node) {
  return entry_inode(parent.inode, parent.dir.snapshot_inode, node);
}

}  // namespace

class SnapshotContent::TreeDir final : public OpenDir {
 public:
  TreeDir(SnapshotContent& content, NodeId node, const NodeRef& ref, repo::TreePtr tree)
      : OpenDir(node, ref), content_(content), tree_(std::move(tree)) {}

  bool is_final() const override { return true; }

  void list(std::uint64_t from, bool plus, const Vfs::DirSink& sink) override {
    if (from == 0) content_.ask_subtrees_ahead(*tree_);
    for (std::uint64_t at = from; at < tree_->size(); ++at) {
      const repo::Node entry = tree_->node(at);
      if (entry.name.size() > kLongestListed) continue;
      DirEntry shown{entry.name, cookie_behind(at), {}};
      if (plus) {
        shown.entry = content_.entry_of(node(), ref(), entry, at, false);
      } else {
        shown.entry.attributes = attributes_of(entry, inode_of(ref(), entry), 2, content_.ownership_);
      }
      if (sink(shown)) continue;
      if (plus) content_.nodes_.forget(shown.entry.node, 1);
      return;
    }
  }

 private:
  SnapshotContent& content_;
  const repo::TreePtr tree_;
};

SnapshotContent::SnapshotContent(repo::Repository& repository, NodeTable& nodes, const Ownership& ownership,
                                 Log& log, const std::atomic<bool>& stopping)
    : repository_(repository),
      nodes_(nodes),
      ownership_(ownership),
      log_(log),
      stopping_(stopping),
      neighbourhood_(repository, nodes) {}

// What no index names may be in a newer one, so that it is worth another look afterwards. It is not read
// again soon after the last time, and once for all who want it meanwhile.
void SnapshotContent::catch_up_with_index() {
  {
    std::unique_lock lock(index_mutex_);
    if (reads_index_) {
      index_read_.wait(lock, [this, before = index_reads_] { return index_reads_ != before; });
      return;
    }
    if (index_read_again_ && std::chrono::steady_clock::now() - *index_read_again_ < kIndexPause) return;
    reads_index_ = true;
  }
  const auto end = [this] {
    const std::lock_guard lock(index_mutex_);
    reads_index_ = false;
    ++index_reads_;
    index_read_again_ = std::chrono::steady_clock::now();
    index_read_.notify_all();
  };
  try {
    repository_.refresh_index();
  } catch (...) {
    end();
    throw;
  }
  end();
}

repo::TreePtr SnapshotContent::tree(const repo::Id& id) {
  if (id.is_zero()) throw Error(Errc::Damaged, "a folder was recorded without its content");
  if (stopping_) throw Error(Errc::Cancelled, "the mount is ending");
  try {
    return repository_.tree(id);
  } catch (const Error& failure) {
    if (failure.code() != Errc::NotFound) throw;
    catch_up_with_index();
  }
  return repository_.tree(id);
}

std::optional<SnapshotContent::Located> SnapshotContent::locate(const NodeRef& ref) {
  const auto parent = nodes_.get(ref.parent);
  if (!parent) return std::nullopt;
  Located located{tree(parent->dir.tree), {}};
  if (ref.place >= located.tree->size()) return std::nullopt;
  located.node = located.tree->node(ref.place);
  return located;
}

// A folder has two links and one for each subfolder. That is known when its own tree is; until then the
// kernel is told to ask again. Looking at a folder does not fail because it cannot be entered.
void SnapshotContent::fill(const repo::Node& node, std::uint64_t inode, bool may_fetch, Entry& entry) {
  std::uint64_t dir_links = 2;
  if (!is_leaf(node)) {
    const repo::Id subtree = node.subtree.value_or(repo::Id{});
    repo::TreePtr known = subtree.is_zero() ? nullptr : repository_.cached_tree(subtree);
    if (!known && may_fetch) {
      try {
        known = tree(subtree);
      } catch (const Error& failure) {
        log_.debug("the subfolders of " + std::string(node.name) + " were not counted: " + failure.what());
      }
    }
    if (known) {
      dir_links += known->dir_count();
    } else {
      entry.attribute_timeout = 0;
    }
  }
  entry.attributes = attributes_of(node, inode, dir_links, ownership_);
}

Entry SnapshotContent::entry_of(NodeId parent, const NodeRef& parent_ref, const repo::Node& node,
                                std::size_t position, bool may_fetch) {
  NodeRef ref;
  ref.kind = is_leaf(node) ? NodeKind::Leaf : NodeKind::Dir;
  ref.parent = parent;
  ref.place = static_cast<std::uint32_t>(position);
  ref.inode = inode_of(parent_ref, node);
  ref.dir.tree = node.subtree.value_or(repo::Id{});
  ref.dir.snapshot_inode = parent_ref.dir.snapshot_inode;
  Entry entry;
  fill(node, ref.inode, may_fetch, entry);
  entry.node = nodes_.acquire(ref);
  return entry;
}

std::optional<Entry> SnapshotContent::lookup(NodeId parent, const NodeRef& parent_ref,
                                             std::string_view name) {
  if (parent_ref.kind == NodeKind::Leaf || name.size() > kLongestListed) return std::nullopt;
  const auto found_in = tree(parent_ref.dir.tree);
  const auto position = found_in->find(name);
  if (!position) return std::nullopt;
  return entry_of(parent, parent_ref, found_in->node(*position), *position, true);
}

std::optional<Entry> SnapshotContent::attributes(NodeId node, const NodeRef& ref) {
  const auto located = locate(ref);
  if (!located) return std::nullopt;
  Entry entry;
  entry.node = node;
  fill(located->node, ref.inode, true, entry);
  return entry;
}

std::optional<std::string> SnapshotContent::read_link(const NodeRef& ref) {
  const auto located = locate(ref);
  if (!located || located->node.type != repo::NodeType::Symlink) return std::nullopt;
  if (located->node.link_target.size() > kLongestTarget) {
    throw Error(Errc::Damaged, "the target of the link " + std::string(located->node.name) + " is too long");
  }
  return std::string(located->node.link_target);
}

std::shared_ptr<OpenDir> SnapshotContent::open_dir(NodeId node, const NodeRef& ref) {
  if (ref.kind == NodeKind::Leaf) return nullptr;
  return std::make_shared<TreeDir>(*this, node, ref, tree(ref.dir.tree));
}

void SnapshotContent::ask_subtrees_ahead(const repo::Tree& tree) {
  const std::size_t most = std::min(kTreesAhead, tree.dir_count());
  std::vector<repo::Id> ids;
  for (std::size_t at = 0; at < tree.size() && ids.size() < most; ++at) {
    const repo::Node node = tree.node(at);
    if (node.subtree && !node.subtree->is_zero()) ids.push_back(*node.subtree);
  }
  if (!ids.empty()) repository_.tree_ahead(ids);
}

std::shared_ptr<OpenFile> SnapshotContent::open_file(const NodeRef& ref) {
  if (ref.kind != NodeKind::Leaf) return nullptr;
  const auto located = locate(ref);
  if (!located) return nullptr;
  const auto type = located->node.type;
  if (type != repo::NodeType::File && type != repo::NodeType::Irregular) return nullptr;
  const auto reader = [&] {
    return std::make_unique<FileReader>(repository_.blobs(), located->tree, ref.place);
  };
  std::shared_ptr<OpenFile> file;
  try {
    file = std::make_shared<OpenFile>(reader());
  } catch (const Error& failure) {
    if (failure.code() != Errc::Damaged) throw;
    catch_up_with_index();
    file = std::make_shared<OpenFile>(reader());
  }
  neighbourhood_.opened(ref.parent, located->tree, ref.place);
  return file;
}

std::vector<std::string> SnapshotContent::xattr_names(const NodeRef& ref) {
  std::vector<std::string> names;
  const auto located = locate(ref);
  if (!located) return names;
  for (const auto& xattr : located->node.xattrs) {
    if (can_be_shown(xattr)) names.emplace_back(xattr.name);
  }
  return names;
}

std::optional<std::string> SnapshotContent::xattr(const NodeRef& ref, std::string_view name) {
  const auto located = locate(ref);
  if (!located) return std::nullopt;
  for (const auto& xattr : located->node.xattrs) {
    if (xattr.name == name && can_be_shown(xattr)) return std::string(xattr.value);
  }
  return std::nullopt;
}

}  // namespace restic::fs
