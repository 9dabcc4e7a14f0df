// SPDX-License-Identifier: MIT
#include "fs/meta_folders.h"

#include <algorithm>
#include <chrono>

#include "fs/attributes.h"
#include "fs/inode_number.h"

namespace restic::fs {
namespace {

constexpr std::uint32_t kFolderMode = S_IFDIR | 0555;

// What a name means, for MetaNames; a folder means nothing but itself.
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

repo::Timestamp now() {
  return {std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds(1), 0};
}

}  // namespace

// Entries of a folder as the list of snapshots was when it was opened; in the root also what was added to it.
class MetaFolders::FolderDir final : public OpenDir {
 public:
  FolderDir(MetaFolders& folders, NodeId node, const NodeRef& ref, SnapshotDirsPtr dirs,
            const MetaNode& folder)
      : OpenDir(node, ref), folders_(folders), dirs_(std::move(dirs)) {
    const bool root = node == kRootNode;
    if (root) {
      for (const auto& file : folders.text_files_) {
        entries_.push_back({file.name, [this, &file] { return folders_.entry_of(file); }, true});
      }
      for (const auto& other : folders.root_entries_) entries_.push_back({other.name, other.entry, false});
    }
    for (const auto& child : folder.children) {
      if (root && folders.is_added(child.first)) continue;
      const auto make = [this, &child] {
        return folders_.entry_of(this->node(), this->ref(), child.first, child.second);
      };
      entries_.push_back({child.first, make, true});
    }
  }

  bool is_final() const override { return false; }

  void list(std::uint64_t from, bool plus, const Vfs::DirSink& sink) override {
    for (std::uint64_t at = from; at < entries_.size(); ++at) {
      const auto& [name, make, counted] = entries_[at];
      const DirEntry entry{name, cookie_behind(at), make()};
      const bool taken = sink(entry);
      if (counted && (!taken || !plus)) folders_.nodes_.forget(entry.entry.node, 1);
      if (!taken) return;
    }
  }

 private:
  struct Item {
    std::string name;
    std::function<Entry()> make;
    bool counted;  // `make` counts a lookup
  };
  MetaFolders& folders_;
  const SnapshotDirsPtr dirs_;  // owns what the items refer to
  std::vector<Item> entries_;
};

MetaFolders::MetaFolders(repo::Repository& repository, NodeTable& nodes, const VfsOptions& options, Log& log)
    : repository_(repository),
      nodes_(nodes),
      options_(options),
      mounted_(now()),
      view_(repository, options, log) {}

void MetaFolders::start(Changed changed) {
  view_.start([this, changed = std::move(changed)](const SnapshotDirs& before, const SnapshotDirs& after) {
    announce(changed, kRootNode, before.root(), after.root());
  });
}

// Tells every name whose meaning differs, in the folders that the kernel holds.
void MetaFolders::announce(const Changed& changed, NodeId folder, const MetaNode& before,
                           const MetaNode& after) {
  for (const auto& [name, old] : before.children) {
    const auto now = after.children.find(name);
    if (now == after.children.end() || meaning_of(now->second) != meaning_of(old)) {
      changed(folder, name);
    } else if (old.kind == MetaNode::Kind::Folder) {
      const auto child = nodes_.find(folder, names_.number(name, {}));
      if (child) announce(changed, *child, old, now->second);
    }
  }
  for (const auto& [name, now] : after.children) {
    if (!before.children.contains(name)) changed(folder, name);
  }
}

const TextFile* MetaFolders::text_file(const NodeRef& ref) const {
  if (ref.parent != kRootNode || names_.meaning(ref.place) != std::string(1, kMeansText)) return nullptr;
  const std::string name = names_.name(ref.place);
  const auto found = std::find_if(text_files_.begin(), text_files_.end(),
                                  [&](const auto& file) { return file.name == name; });
  return found == text_files_.end() ? nullptr : &*found;
}

bool MetaFolders::is_added(const std::string& name) const {
  const auto named = [&](const auto& each) { return each.name == name; };
  return std::any_of(text_files_.begin(), text_files_.end(), named) ||
         std::any_of(root_entries_.begin(), root_entries_.end(), named);
}

std::vector<std::string> MetaFolders::path_of(NodeId node, const NodeRef& ref) const {
  std::vector<std::string> path;
  std::optional<NodeRef> at = ref;
  while (node != kRootNode && at) {
    path.push_back(names_.name(at->place));
    node = at->parent;
    at = nodes_.get(node);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

struct stat MetaFolders::attributes_of_meta(const MetaNode& meta, std::uint64_t inode) const {
  if (meta.kind == MetaNode::Kind::Link) {
    auto link = made_up_attributes(inode, S_IFLNK | 0777, 1, meta.time, options_.meta_uid, options_.meta_gid);
    link.st_size = static_cast<off_t>(meta.target.size());
    return link;
  }
  std::uint64_t links = 2;
  if (meta.kind == MetaNode::Kind::Snapshot) {
    // Its tree is not fetched for this: a listing of all snapshots would fetch every root.
    const auto known = meta.tree.is_zero() ? nullptr : repository_.cached_tree(meta.tree);
    if (known) links += known->dir_count();
    return made_up_attributes(inode, kFolderMode & ~options_.umask, links, meta.time,
                              options_.uid.value_or(0), options_.gid.value_or(0));
  }
  for (const auto& [name, child] : meta.children) {
    if (child.kind != MetaNode::Kind::Link) ++links;
  }
  const bool empty = meta.time == repo::Timestamp{};  // no snapshot below: as old as the mount, not as 1970
  return made_up_attributes(inode, kFolderMode, links, empty ? mounted_ : meta.time, options_.meta_uid,
                            options_.meta_gid);
}

struct stat MetaFolders::attributes_of_text(std::uint64_t inode) const {
  return made_up_attributes(inode, S_IFREG | 0444, 1, now(), options_.meta_uid, options_.meta_gid);
}

Entry MetaFolders::entry_of(NodeId parent, const NodeRef& parent_ref, const std::string& name,
                            const MetaNode& meta) {
  NodeRef ref;
  ref.kind = meta.kind == MetaNode::Kind::Snapshot ? NodeKind::Snapshot : NodeKind::Meta;
  ref.parent = parent;
  ref.place = names_.number(name, meaning_of(meta));
  ref.inode = child_inode(parent_ref.inode, name);
  ref.dir = {meta.tree, ref.inode, meta.time};
  return {nodes_.acquire(ref), attributes_of_meta(meta, ref.inode), kShortly, kShortly};
}

Entry MetaFolders::entry_of(const TextFile& file) {
  NodeRef ref;
  ref.parent = kRootNode;
  ref.place = names_.number(file.name, std::string(1, kMeansText));
  ref.inode = child_inode(kRootInode, file.name);
  return {nodes_.acquire(ref), attributes_of_text(ref.inode), kShortly, 0};
}

std::optional<Entry> MetaFolders::lookup(NodeId parent, const NodeRef& parent_ref, const std::string& name) {
  if (parent == kRootNode) {
    for (const auto& file : text_files_) {
      if (file.name == name) return entry_of(file);
    }
    for (const auto& other : root_entries_) {
      if (other.name == name) return other.entry();
    }
  }
  const auto dirs = view_.dirs();
  const MetaNode* const folder = dirs->find(path_of(parent, parent_ref));
  if (folder == nullptr) return std::nullopt;
  const auto child = folder->children.find(name);
  if (child == folder->children.end()) return std::nullopt;
  return entry_of(parent, parent_ref, name, child->second);
}

std::optional<Entry> MetaFolders::attributes(NodeId node, const NodeRef& ref) {
  if (text_file(ref) != nullptr) return Entry{node, attributes_of_text(ref.inode), kShortly, 0};
  if (ref.kind == NodeKind::Snapshot) {  // also when it has left the list: whoever is inside stays
    MetaNode snapshot;
    snapshot.kind = MetaNode::Kind::Snapshot;
    snapshot.tree = ref.dir.tree;
    snapshot.time = ref.dir.snapshot_time;
    return Entry{node, attributes_of_meta(snapshot, ref.inode), kShortly, kShortly};
  }
  const auto dirs = view_.dirs();
  const MetaNode* const meta = dirs->find(path_of(node, ref));
  if (meta == nullptr || (node != kRootNode && names_.meaning(ref.place) != meaning_of(*meta)))
    return std::nullopt;
  return Entry{node, attributes_of_meta(*meta, ref.inode), kShortly, kShortly};
}

std::optional<std::string> MetaFolders::read_link(const NodeRef& ref) const {
  if (ref.parent == 0) return std::nullopt;  // the root
  const std::string meaning = names_.meaning(ref.place);
  if (!meaning.starts_with(kMeansLink)) return std::nullopt;
  return meaning.substr(1);
}

std::shared_ptr<OpenDir> MetaFolders::open_dir(NodeId node, const NodeRef& ref) {
  auto dirs = view_.dirs();
  const MetaNode* const folder = dirs->find(path_of(node, ref));
  if (folder == nullptr || folder->kind != MetaNode::Kind::Folder) return nullptr;
  return std::make_shared<FolderDir>(*this, node, ref, std::move(dirs), *folder);
}

std::shared_ptr<OpenFile> MetaFolders::open_file(const NodeRef& ref) const {
  const TextFile* const file = text_file(ref);
  return file == nullptr ? nullptr : std::make_shared<OpenFile>(file->render());
}

}  // namespace restic::fs
