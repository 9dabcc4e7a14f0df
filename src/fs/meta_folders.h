// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/handles.h"
#include "fs/meta_names.h"
#include "fs/node_table.h"
#include "fs/snapshot_view.h"
#include "fs/vfs.h"
#include "repo/repository.h"

namespace restic::fs {

// What lies above the snapshots: nodes of kind Meta, and the snapshots' own attributes. These folders change,
// so answers are believed shortly only. Thread-safe; blocks as SnapshotView::dirs does.
class MetaFolders {
 public:
  using Changed = std::function<void(NodeId folder, const std::string& name)>;

  // All must outlive it.
  MetaFolders(repo::Repository& repository, NodeTable& nodes, const VfsOptions& options, Log& log);

  // Before the first request only.
  void add(TextFile file) { text_files_.push_back(std::move(file)); }
  void add(RootEntry entry) { root_entries_.push_back(std::move(entry)); }

  SnapshotView& view() { return view_; }
  void start(Changed changed);

  std::optional<Entry> lookup(NodeId parent, const NodeRef& parent_ref, const std::string& name);
  std::optional<Entry> attributes(NodeId node, const NodeRef& ref);
  std::optional<std::string> read_link(const NodeRef& ref) const;
  std::shared_ptr<OpenDir> open_dir(NodeId node, const NodeRef& ref);
  std::shared_ptr<OpenFile> open_file(const NodeRef& ref) const;

 private:
  class FolderDir;

  const TextFile* text_file(const NodeRef& ref) const;
  bool is_added(const std::string& name) const;
  std::vector<std::string> path_of(NodeId node, const NodeRef& ref) const;
  struct stat attributes_of_meta(const MetaNode& meta, std::uint64_t inode) const;
  struct stat attributes_of_text(std::uint64_t inode) const;
  Entry entry_of(NodeId parent, const NodeRef& parent_ref, const std::string& name, const MetaNode& meta);
  Entry entry_of(const TextFile& file);
  void announce(const Changed& changed, NodeId folder, const MetaNode& before, const MetaNode& after);

  repo::Repository& repository_;
  NodeTable& nodes_;
  const VfsOptions& options_;
  const repo::Timestamp mounted_;  // when
  MetaNames names_;
  std::vector<TextFile> text_files_;
  std::vector<RootEntry> root_entries_;
  SnapshotView view_;  // last: its thread uses the rest
};

}  // namespace restic::fs
