// SPDX-License-Identifier: MIT
#include "fs/vfs.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "base/error.h"
#include "fs/attributes.h"
#include "fs/file_reader.h"
#include "fs/inode_number.h"
#include "fs/meta_names.h"
#include "fs/neighbourhood.h"
#include "fs/node_table.h"
#include "fs/snapshot_view.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLongestName = 1024;    // the kernel refuses a whole listing for one longer name
constexpr std::size_t kLongestTarget = 4095;  // of a symlink, as the kernel takes it
constexpr std::size_t kLongestXattrName = 255;
constexpr std::size_t kTreesAhead = 1024;  // asked for when a folder is listed
constexpr auto kIndexPause = 10s;          // between reloads for things that no index names
constexpr std::uint32_t kFolderMode = S_IFDIR | 0555;

// What a name above the snapshots means, for MetaNames.
constexpr char kMeansText = 't', kMeansLink = 'l', kMeansSnapshot = 's';

std::string meaning_of(const MetaNode& meta) {
  switch (meta.kind) {
    case MetaNode::Kind::Link:
      return kMeansLink + meta.target;
    case MetaNode::Kind::Snapshot:
      return kMeansSnapshot + meta.snapshot.hex();
    case MetaNode::Kind::Folder:
      break;
  }
  return {};
}

bool is_leaf(const repo::Node& node) { return node.type != repo::NodeType::Dir; }
bool can_be_shown(std::string_view name) { return name.size() <= kLongestName; }
bool can_be_shown(const repo::Xattr& xattr) {
  return !xattr.name.empty() && xattr.name.size() <= kLongestXattrName &&
         xattr.name.find('\0') == std::string_view::npos;
}

}  // namespace

// One of the two: an entry list made when the folder was opened, or a tree.
class OpenDir {
 public:
  NodeId node = 0;
  NodeRef ref;
  repo::TreePtr tree;
  SnapshotDirsPtr dirs;  // owns what `metas` points at
  struct Meta {
    std::string name;
    const MetaNode* meta;  // null: `other` makes the entry
    std::function<Entry()> other;
  };
  std::vector<Meta> metas;
};

class OpenFile {
 public:
  std::unique_ptr<FileReader> reader;
  std::string text;  // when there is no reader
};

struct Vfs::Impl {
  Impl(repo::Repository& repository_in, VfsOptions options_in, Log& log_in)
      : repository(repository_in),
        options(std::move(options_in)),
        log(log_in),
        ownership{options.uid, options.gid, options.umask},
        view(repository, options, log),
        neighbourhood(repository.blobs()) {}

  repo::Repository& repository;
  const VfsOptions options;
  Log& log;
  const Ownership ownership;
  std::vector<TextFile> text_files;
  std::vector<RootEntry> root_entries;
  NodeTable nodes;
  MetaNames names;
  SnapshotView view;
  Neighbourhood neighbourhood;
  std::atomic<bool> stopping{false};
  std::mutex index_mutex;
  std::chrono::steady_clock::time_point index_refreshed{};

  // A node of a tree, and the tree it lives in.
  struct Located {
    repo::TreePtr tree;
    repo::Node node;
  };

  repo::TreePtr tree(const repo::Id& id);
  bool try_new_index();
  std::optional<Located> locate(const NodeRef& ref);
  std::uint64_t dir_links(const repo::Node& node, bool may_fetch, Entry& entry);
  void fill(const repo::Node& node, std::uint64_t inode, bool may_fetch, Entry& entry);
  static std::uint64_t inode_of(const NodeRef& parent, const repo::Node& node);
  Entry tree_entry(NodeId parent_id, const NodeRef& parent, const repo::Node& node, std::size_t position,
                   bool may_fetch);

  std::vector<std::string> path_of(NodeId node, const NodeRef& ref) const;
  struct stat meta_attributes(const MetaNode& meta, std::uint64_t inode);
  Entry meta_entry(NodeId parent_id, const NodeRef& parent, const std::string& name, const MetaNode& meta);
  Entry text_entry(const TextFile& file);
  std::optional<Entry> meta_lookup(NodeId parent_id, const NodeRef& parent, const std::string& name);
  std::optional<Entry> meta_attributes_of(NodeId node, const NodeRef& ref);
  bool is_in_root(std::string_view name) const;
  void announce(const std::function<void(NodeId, const std::string&)>& changed, NodeId folder,
                const MetaNode& before, const MetaNode& after);
  void list_tree(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink);
  void list_metas(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink);
  bool list_dots(const OpenDir& dir, std::uint64_t cookie, const DirSink& sink);
  void ask_subtrees_ahead(const repo::Tree& tree);
};

// ---- trees

// Something that no index names may be in a newer index. True: the index was read anew, look again.
bool Vfs::Impl::try_new_index() {
  {
    std::lock_guard lock(index_mutex);
    const auto now = std::chrono::steady_clock::now();
    if (index_refreshed != std::chrono::steady_clock::time_point{} && now - index_refreshed < kIndexPause)
      return false;
    index_refreshed = now;
  }
  repository.refresh_index();
  return true;
}

repo::TreePtr Vfs::Impl::tree(const repo::Id& id) {
  if (id.is_zero()) throw Error(Errc::Damaged, "a folder was recorded without its content");
  if (stopping) throw Error(Errc::Cancelled, "the mount is ending");
  try {
    return repository.tree(id);
  } catch (const Error& failure) {
    if (failure.code() != Errc::NotFound || !try_new_index()) throw;
  }
  return repository.tree(id);
}

std::optional<Vfs::Impl::Located> Vfs::Impl::locate(const NodeRef& ref) {
  const auto parent = nodes.get(ref.parent);
  if (!parent) return std::nullopt;
  Located located{tree(parent->dir.tree), {}};
  if (ref.place >= located.tree->size()) return std::nullopt;
  located.node = located.tree->node(ref.place);
  return located;
}

std::uint64_t Vfs::Impl::inode_of(const NodeRef& parent, const repo::Node& node) {
  if (is_leaf(node) && node.links > 1) return hard_link_inode(parent.dir.snapshot_inode, node);
  return child_inode(parent.inode, node.name);
}

// Two and the number of subfolders. They are known when the folder's own tree is; until then the kernel must
// ask again.
std::uint64_t Vfs::Impl::dir_links(const repo::Node& node, bool may_fetch, Entry& entry) {
  if (is_leaf(node)) return 1;
  if (node.subtree && !node.subtree->is_zero()) {
    if (const auto known = repository.cached_tree(*node.subtree)) return 2 + known->dir_count();
    try {
      if (may_fetch) return 2 + tree(*node.subtree)->dir_count();
    } catch (const Error& failure) {  // entering the folder will say so; looking at it should not fail
      log.debug(std::string("the subfolders of a folder are not counted: ") + failure.what());
    }
  }
  entry.attribute_timeout = 0;
  return 2;
}

void Vfs::Impl::fill(const repo::Node& node, std::uint64_t inode, bool may_fetch, Entry& entry) {
  const std::uint64_t links = dir_links(node, may_fetch, entry);
  entry.attributes = attributes_of(node, inode, links, ownership);
}

Entry Vfs::Impl::tree_entry(NodeId parent_id, const NodeRef& parent, const repo::Node& node,
                            std::size_t position, bool may_fetch) {
  NodeRef ref;
  ref.kind = is_leaf(node) ? NodeKind::Leaf : NodeKind::Dir;
  ref.parent = parent_id;
  ref.place = static_cast<std::uint32_t>(position);
  ref.inode = inode_of(parent, node);
  ref.dir.tree = node.subtree.value_or(repo::Id{});
  ref.dir.snapshot_inode = parent.dir.snapshot_inode;
  Entry entry;
  fill(node, ref.inode, may_fetch, entry);
  entry.node = nodes.acquire(ref);
  return entry;
}

// ---- above the snapshots

bool Vfs::Impl::is_in_root(std::string_view name) const {
  const auto named = [name](const auto& each) { return each.name == name; };
  return std::any_of(text_files.begin(), text_files.end(), named) ||
         std::any_of(root_entries.begin(), root_entries.end(), named);
}

std::vector<std::string> Vfs::Impl::path_of(NodeId node, const NodeRef& ref) const {
  std::vector<std::string> path;
  std::optional<NodeRef> at = ref;
  while (node != kRootNode && at) {
    path.push_back(names.name(at->place));
    node = at->parent;
    at = nodes.get(node);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

struct stat Vfs::Impl::meta_attributes(const MetaNode& meta, std::uint64_t inode) {
  if (meta.kind == MetaNode::Kind::Link) {
    auto attributes =
        made_up_attributes(inode, S_IFLNK | 0777, 1, meta.time, options.meta_uid, options.meta_gid);
    attributes.st_size = static_cast<off_t>(meta.target.size());
    return attributes;
  }
  std::uint64_t links = 2;
  if (meta.kind == MetaNode::Kind::Snapshot) {
    // Not fetched for this: a listing of all snapshots would fetch every root.
    if (const auto known = meta.tree.is_zero() ? nullptr : repository.cached_tree(meta.tree))
      links += known->dir_count();
    return made_up_attributes(inode, kFolderMode & ~options.umask, links, meta.time, options.uid.value_or(0),
                              options.gid.value_or(0));
  }
  for (const auto& [name, child] : meta.children) {
    if (child.kind != MetaNode::Kind::Link) ++links;
  }
  return made_up_attributes(inode, kFolderMode, links, meta.time, options.meta_uid, options.meta_gid);
}

Entry Vfs::Impl::meta_entry(NodeId parent_id, const NodeRef& parent, const std::string& name,
                            const MetaNode& meta) {
  NodeRef ref;
  ref.kind = meta.kind == MetaNode::Kind::Snapshot ? NodeKind::Snapshot : NodeKind::Meta;
  ref.parent = parent_id;
  ref.place = names.number(name, meaning_of(meta));
  ref.inode = child_inode(parent.inode, name);
  ref.dir = {meta.tree, ref.inode, meta.time};
  Entry entry;
  entry.attributes = meta_attributes(meta, ref.inode);
  entry.name_timeout = entry.attribute_timeout = kShortly;
  entry.node = nodes.acquire(ref);
  return entry;
}

Entry Vfs::Impl::text_entry(const TextFile& file) {
  NodeRef ref;
  ref.parent = kRootNode;
  ref.place = names.number(file.name, std::string(1, kMeansText));
  ref.inode = child_inode(kRootInode, file.name);
  Entry entry;
  const auto seconds = std::chrono::system_clock::now().time_since_epoch() / 1s;
  entry.attributes =
      made_up_attributes(ref.inode, S_IFREG | 0444, 1, {seconds, 0}, options.meta_uid, options.meta_gid);
  entry.name_timeout = kShortly;
  entry.attribute_timeout = 0;
  entry.node = nodes.acquire(ref);
  return entry;
}

std::optional<Entry> Vfs::Impl::meta_lookup(NodeId parent_id, const NodeRef& parent,
                                            const std::string& name) {
  if (parent_id == kRootNode) {
    for (const auto& file : text_files) {
      if (file.name == name) return text_entry(file);
    }
    for (const auto& other : root_entries) {
      if (other.name == name) return other.entry();
    }
  }
  const auto dirs = view.dirs();
  const MetaNode* const folder = dirs->find(path_of(parent_id, parent));
  if (folder == nullptr) return std::nullopt;
  const auto child = folder->children.find(name);
  if (child == folder->children.end()) return std::nullopt;
  return meta_entry(parent_id, parent, name, child->second);
}

std::optional<Entry> Vfs::Impl::meta_attributes_of(NodeId node, const NodeRef& ref) {
  Entry entry;
  entry.node = node;
  entry.name_timeout = entry.attribute_timeout = kShortly;
  if (ref.kind == NodeKind::Snapshot) {  // also when it has left the list: whoever is inside stays
    MetaNode snapshot;
    snapshot.kind = MetaNode::Kind::Snapshot;
    snapshot.tree = ref.dir.tree;
    snapshot.time = ref.dir.snapshot_time;
    entry.attributes = meta_attributes(snapshot, ref.inode);
    return entry;
  }
  const auto dirs = view.dirs();
  const MetaNode* const meta = dirs->find(path_of(node, ref));
  if (meta != nullptr && (node == kRootNode || names.meaning(ref.place) == meaning_of(*meta))) {
    entry.attributes = meta_attributes(*meta, ref.inode);
    return entry;
  }
  return std::nullopt;
}

// Tells every name whose meaning differs, in folders that the kernel holds.
void Vfs::Impl::announce(const std::function<void(NodeId, const std::string&)>& changed, NodeId folder,
                         const MetaNode& before, const MetaNode& after) {
  for (const auto& [name, old] : before.children) {
    const auto now = after.children.find(name);
    if (now == after.children.end() || meaning_of(now->second) != meaning_of(old)) {
      changed(folder, name);
    } else if (old.kind == MetaNode::Kind::Folder) {
      const auto child = nodes.find(folder, names.number(name, {}));
      if (child) announce(changed, *child, old, now->second);
    }
  }
  for (const auto& [name, now] : after.children) {
    if (!before.children.contains(name)) changed(folder, name);
  }
}

// ---- listings

bool Vfs::Impl::list_dots(const OpenDir& dir, std::uint64_t cookie, const DirSink& sink) {
  for (std::uint64_t dot = cookie; dot < 2; ++dot) {
    Entry entry;
    entry.attributes.st_mode = S_IFDIR;
    const auto above = dot == 0 ? std::nullopt : nodes.get(dir.ref.parent);
    entry.attributes.st_ino = above ? above->inode : dir.ref.inode;
    if (!sink({dot == 0 ? "." : "..", dot + 1, entry})) return false;
  }
  return true;
}

void Vfs::Impl::list_tree(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink) {
  for (std::uint64_t at = cookie; at < dir.tree->size(); ++at) {
    const repo::Node node = dir.tree->node(at);
    if (!can_be_shown(node.name)) continue;
    DirEntry entry{node.name, at + 3, {}};
    if (plus) {
      entry.entry = tree_entry(dir.node, dir.ref, node, at, false);
    } else {
      entry.entry.attributes = attributes_of(node, inode_of(dir.ref, node), 2, ownership);
    }
    if (sink(entry)) continue;
    if (plus) nodes.forget(entry.entry.node, 1);
    return;
  }
}

void Vfs::Impl::list_metas(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink) {
  for (std::uint64_t at = cookie; at < dir.metas.size(); ++at) {
    const auto& [name, meta, other] = dir.metas[at];
    DirEntry entry{name, at + 3, meta != nullptr ? meta_entry(dir.node, dir.ref, name, *meta) : other()};
    const bool taken = sink(entry);
    const bool counted = (entry.entry.node & ~(~NodeId{0} >> 1U)) == 0;  // others count their own
    if (counted && (!taken || !plus)) nodes.forget(entry.entry.node, 1);
    if (!taken) return;
  }
}

void Vfs::Impl::ask_subtrees_ahead(const repo::Tree& tree) {
  std::vector<repo::Id> ids;
  for (std::size_t at = 0; at < tree.size() && ids.size() < std::min(kTreesAhead, tree.dir_count()); ++at) {
    const repo::Node node = tree.node(at);
    if (node.subtree && !node.subtree->is_zero()) ids.push_back(*node.subtree);
  }
  if (!ids.empty()) repository.tree_ahead(ids);
}

// ---- the contract

Vfs::Vfs(repo::Repository& repository, VfsOptions options, Log& log)
    : impl_(std::make_unique<Impl>(repository, std::move(options), log)) {}
Vfs::~Vfs() = default;

void Vfs::add_text_file(TextFile file) { impl_->text_files.push_back(std::move(file)); }
void Vfs::add_root_entry(RootEntry entry) { impl_->root_entries.push_back(std::move(entry)); }

void Vfs::load_snapshots() { impl_->view.load(); }

void Vfs::start(std::function<void(NodeId, const std::string&)> changed) {
  impl_->view.start(
      [this, changed = std::move(changed)](const SnapshotDirs& before, const SnapshotDirs& after) {
        impl_->announce(changed, kRootNode, before.root(), after.root());
      });
}

void Vfs::shut_down() {
  impl_->stopping = true;
  impl_->view.stop();
}

std::optional<Entry> Vfs::lookup(NodeId parent, std::string_view name) {
  const auto ref = impl_->nodes.get(parent);
  if (!ref || !can_be_shown(name)) return std::nullopt;
  if (ref->kind == NodeKind::Meta) return impl_->meta_lookup(parent, *ref, std::string(name));
  if (ref->kind == NodeKind::Leaf) return std::nullopt;
  const auto tree = impl_->tree(ref->dir.tree);
  const auto position = tree->find(name);
  if (!position) return std::nullopt;
  return impl_->tree_entry(parent, *ref, tree->node(*position), *position, true);
}

double Vfs::absence_timeout(NodeId parent) const {
  const auto ref = impl_->nodes.get(parent);
  return ref && ref->kind != NodeKind::Meta ? kForever : kShortly;
}

void Vfs::forget(NodeId node, std::uint64_t lookups) { impl_->nodes.forget(node, lookups); }

std::optional<Entry> Vfs::attributes(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref) return std::nullopt;
  if (ref->kind == NodeKind::Meta || ref->kind == NodeKind::Snapshot) {
    for (const auto& file : impl_->text_files) {
      if (ref->parent == kRootNode && impl_->names.name(ref->place) == file.name) {
        const Entry entry = impl_->text_entry(file);
        impl_->nodes.forget(entry.node, 1);
        return entry;
      }
    }
    return impl_->meta_attributes_of(node, *ref);
  }
  const auto located = impl_->locate(*ref);
  if (!located) return std::nullopt;
  Entry entry;
  entry.node = node;
  impl_->fill(located->node, ref->inode, true, entry);
  return entry;
}

std::optional<std::string> Vfs::read_link(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref || node == kRootNode) return std::nullopt;
  if (ref->kind == NodeKind::Meta) {
    const std::string meaning = impl_->names.meaning(ref->place);
    if (!meaning.starts_with(kMeansLink)) return std::nullopt;
    return meaning.substr(1);
  }
  if (ref->kind != NodeKind::Leaf) return std::nullopt;
  const auto located = impl_->locate(*ref);
  if (!located || located->node.type != repo::NodeType::Symlink) return std::nullopt;
  if (located->node.link_target.size() > kLongestTarget) {
    throw Error(Errc::Damaged, "the target of the link " + std::string(located->node.name) + " is too long");
  }
  return std::string(located->node.link_target);
}

std::shared_ptr<OpenDir> Vfs::open_dir(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref || ref->kind == NodeKind::Leaf) return nullptr;
  auto dir = std::make_shared<OpenDir>();
  dir->node = node;
  dir->ref = *ref;
  if (ref->kind != NodeKind::Meta) {
    dir->tree = impl_->tree(ref->dir.tree);
    return dir;
  }
  dir->dirs = impl_->view.dirs();
  const MetaNode* const folder = dir->dirs->find(impl_->path_of(node, *ref));
  if (folder == nullptr || folder->kind != MetaNode::Kind::Folder) return nullptr;
  if (node == kRootNode) {
    for (const auto& file : impl_->text_files) {
      dir->metas.push_back({file.name, nullptr, [this, &file] { return impl_->text_entry(file); }});
    }
    for (const auto& other : impl_->root_entries) dir->metas.push_back({other.name, nullptr, other.entry});
  }
  for (const auto& [name, meta] : folder->children) {
    if (node != kRootNode || !impl_->is_in_root(name)) dir->metas.push_back({name, &meta, {}});
  }
  return dir;
}

void Vfs::read_dir(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink) {
  if (cookie == 0 && dir.tree) impl_->ask_subtrees_ahead(*dir.tree);
  if (cookie < 2 && !impl_->list_dots(dir, cookie, sink)) return;
  const std::uint64_t at = cookie < 2 ? 0 : cookie - 2;
  dir.tree ? impl_->list_tree(dir, at, plus, sink) : impl_->list_metas(dir, at, plus, sink);
}

bool Vfs::listing_is_final(const OpenDir& dir) const { return dir.tree != nullptr; }

std::shared_ptr<OpenFile> Vfs::open_file(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref || node == kRootNode) return nullptr;
  auto file = std::make_shared<OpenFile>();
  if (ref->kind == NodeKind::Meta) {
    const std::string name = impl_->names.name(ref->place);
    if (impl_->names.meaning(ref->place) != std::string(1, kMeansText)) return nullptr;
    for (const auto& text : impl_->text_files) {
      if (text.name == name) file->text = text.render();
    }
    return file;
  }
  if (ref->kind != NodeKind::Leaf) return nullptr;
  const auto located = impl_->locate(*ref);
  if (!located ||
      (located->node.type != repo::NodeType::File && located->node.type != repo::NodeType::Irregular)) {
    return nullptr;
  }
  auto& blobs = impl_->repository.blobs();
  try {
    file->reader = std::make_unique<FileReader>(blobs, located->tree, ref->place);
  } catch (const Error& failure) {
    if (failure.code() != Errc::Damaged || !impl_->try_new_index()) throw;
    file->reader = std::make_unique<FileReader>(blobs, located->tree, ref->place);
  }
  impl_->neighbourhood.opened(ref->parent, *located->tree, ref->place);
  return file;
}

bool Vfs::content_is_final(const OpenFile& file) const {
  return file.reader && file.reader->size_as_recorded();
}

std::vector<ReadPiece> Vfs::read(OpenFile& file, std::uint64_t offset, std::size_t size,
                                 const Interrupted& interrupted) {
  if (file.reader) {
    return file.reader->read(offset, size, [&] { return impl_->stopping.load() || interrupted(); });
  }
  if (offset >= file.text.size()) return {};
  return {{nullptr, as_bytes(std::string_view(file.text).substr(offset, size))}};
}

std::optional<std::uint64_t> Vfs::seek(const OpenFile& file, std::uint64_t offset, bool data) const {
  if (file.reader) return file.reader->seek(offset, data);
  if (offset >= file.text.size()) return std::nullopt;
  return data ? offset : file.text.size();
}

std::vector<std::string> Vfs::xattr_names(NodeId node) {
  std::vector<std::string> names;
  const auto ref = impl_->nodes.get(node);
  if (!ref || (ref->kind != NodeKind::Dir && ref->kind != NodeKind::Leaf)) return names;
  const auto located = impl_->locate(*ref);
  if (!located) return names;
  for (const auto& xattr : located->node.xattrs) {
    if (can_be_shown(xattr)) names.emplace_back(xattr.name);
  }
  return names;
}

std::optional<std::string> Vfs::xattr(NodeId node, std::string_view name) {
  const auto ref = impl_->nodes.get(node);
  if (!ref || (ref->kind != NodeKind::Dir && ref->kind != NodeKind::Leaf)) return std::nullopt;
  const auto located = impl_->locate(*ref);
  if (!located) return std::nullopt;
  for (const auto& xattr : located->node.xattrs) {
    if (xattr.name == name && can_be_shown(xattr)) return std::string(xattr.value);
  }
  return std::nullopt;
}

struct statvfs Vfs::statistics() const {
  constexpr unsigned long kUnit = 4096;
  const auto index = impl_->repository.index();
  struct statvfs result {};
  result.f_bsize = result.f_frsize = kUnit;
  result.f_blocks = (index->total_stored_bytes() + kUnit - 1) / kUnit;
  result.f_files = index->blob_count();
  result.f_namemax = 255;
  return result;
}

std::size_t Vfs::known_nodes() const { return impl_->nodes.size(); }

}  // namespace restic::fs
