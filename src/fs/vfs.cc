// SPDX-License-Identifier: MIT
#include "fs/vfs.h"

#include <atomic>

#include "fs/handles.h"
#include "fs/meta_folders.h"
#include "fs/node_table.h"
#include "fs/snapshot_content.h"

namespace restic::fs {

// Every operation looks its node up and goes to one of two: what is above the snapshots, or what is in them.
struct Vfs::Impl {
  Impl(repo::Repository& repository_in, VfsOptions options_in, Log& log)
      : repository(repository_in),
        options(std::move(options_in)),
        content(repository, nodes, {options.uid, options.gid, options.umask}, log, stopping),
        folders(repository, nodes, options, log) {}

  repo::Repository& repository;
  const VfsOptions options;
  std::atomic<bool> stopping{false};
  NodeTable nodes;
  SnapshotContent content;
  MetaFolders folders;
};

Vfs::Vfs(repo::Repository& repository, VfsOptions options, Log& log)
    : impl_(std::make_unique<Impl>(repository, std::move(options), log)) {}
Vfs::~Vfs() = default;

void Vfs::add_text_file(TextFile file) { impl_->folders.add(std::move(file)); }
void Vfs::add_root_entry(RootEntry entry) { impl_->folders.add(std::move(entry)); }
void Vfs::load_snapshots() { impl_->folders.view().load(); }
void Vfs::start(std::function<void(NodeId, const std::string&)> changed) {
  impl_->folders.start(std::move(changed));
}

void Vfs::shut_down() {
  impl_->stopping = true;
  impl_->repository.stop_reading();
  impl_->folders.view().stop();
}

std::optional<Entry> Vfs::lookup(NodeId parent, std::string_view name) {
  const auto ref = impl_->nodes.get(parent);
  if (!ref) return std::nullopt;
  if (ref->kind == NodeKind::Meta) return impl_->folders.lookup(parent, *ref, std::string(name));
  return impl_->content.lookup(parent, *ref, name);
}

double Vfs::absence_timeout(NodeId parent) const {
  const auto ref = impl_->nodes.get(parent);
  return ref && ref->kind != NodeKind::Meta ? kForever : kShortly;
}

void Vfs::forget(NodeId node, std::uint64_t lookups) { impl_->nodes.forget(node, lookups); }

std::optional<Entry> Vfs::attributes(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref) return std::nullopt;
  const bool above = ref->kind == NodeKind::Meta || ref->kind == NodeKind::Snapshot;
  return above ? impl_->folders.attributes(node, *ref) : impl_->content.attributes(node, *ref);
}

std::optional<std::string> Vfs::read_link(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref) return std::nullopt;
  if (ref->kind == NodeKind::Meta) return impl_->folders.read_link(*ref);
  return ref->kind == NodeKind::Leaf ? impl_->content.read_link(*ref) : std::nullopt;
}

std::shared_ptr<OpenDir> Vfs::open_dir(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref) return nullptr;
  if (ref->kind == NodeKind::Meta) return impl_->folders.open_dir(node, *ref);
  return impl_->content.open_dir(node, *ref);
}

void Vfs::read_dir(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink) {
  constexpr std::uint64_t kDots = 2;
  for (std::uint64_t dot = cookie; dot < kDots; ++dot) {
    const auto above = dot == 0 ? std::nullopt : impl_->nodes.get(dir.ref().parent);
    Entry entry;
    entry.attributes.st_mode = S_IFDIR;
    entry.attributes.st_ino = above ? above->inode : dir.ref().inode;
    if (!sink({dot == 0 ? "." : "..", dot + 1, entry})) return;
  }
  dir.list(cookie < kDots ? 0 : cookie - kDots, plus, sink);
}

bool Vfs::listing_is_final(const OpenDir& dir) const { return dir.is_final(); }

std::shared_ptr<OpenFile> Vfs::open_file(NodeId node) {
  const auto ref = impl_->nodes.get(node);
  if (!ref) return nullptr;
  if (ref->kind == NodeKind::Meta) return impl_->folders.open_file(*ref);
  return impl_->content.open_file(*ref);
}

bool Vfs::content_is_final(const OpenFile& file) const {
  return file.reader && file.reader->size_as_recorded();
}

std::vector<ReadPiece> Vfs::read(OpenFile& file, std::uint64_t offset, std::size_t size,
                                 const Interrupted& interrupted) {
  if (file.reader) {
    return file.reader->read(offset, size, [&] { return impl_->stopping || interrupted(); });
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
  const auto ref = impl_->nodes.get(node);
  const bool can_have = ref && (ref->kind == NodeKind::Dir || ref->kind == NodeKind::Leaf);
  return can_have ? impl_->content.xattr_names(*ref) : std::vector<std::string>();
}

std::optional<std::string> Vfs::xattr(NodeId node, std::string_view name) {
  const auto ref = impl_->nodes.get(node);
  const bool can_have = ref && (ref->kind == NodeKind::Dir || ref->kind == NodeKind::Leaf);
  return can_have ? impl_->content.xattr(*ref, name) : std::nullopt;
}

// The repository is full by nature: what there is is what it holds, and nothing can be added here.
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
