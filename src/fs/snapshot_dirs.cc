// SPDX-License-Identifier: MIT
#include "fs/snapshot_dirs.h"

#include <algorithm>
#include <array>

#include "fs/path_template.h"

namespace restic::fs {
namespace {

constexpr std::array kDefaultTemplates{"ids/%i", "snapshots/%T", "hosts/%h/%T", "tags/%t/%T"};
constexpr std::string_view kLatest = "latest";

bool holds(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// "a,b": all of them; "": only snapshots without tags.
bool has_tags(const repo::Snapshot& snapshot, std::string_view list) {
  if (list.empty()) return snapshot.tags.empty();
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (!holds(snapshot.tags, list.substr(0, comma))) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

// Puts one snapshot after the other into the tree of folders.
class Builder {
 public:
  explicit Builder(MetaNode& root) : root_(root) {}

  // The folder of this path, made where it was missing; null when a snapshot or a link is in the way.
  MetaNode* make_folder(std::span<const std::string> names) {
    MetaNode* at = &root_;
    for (const auto& name : names) {
      at = &at->children[name];
      if (at->kind != MetaNode::Kind::Folder) return nullptr;
    }
    return at;
  }

  // Shows the snapshot at folder/time, or at `folder` itself when the template does not end in the time.
  void place(const repo::Snapshot& snapshot, std::span<const std::string> folder,
             std::span<const std::string> time) {
    std::vector<std::string> names(folder.begin(), folder.end());
    names.insert(names.end(), time.begin(), time.end());
    if (names.empty()) return;
    const auto above = std::span(names).first(names.size() - 1);
    MetaNode* const parent = make_folder(above);
    if (parent == nullptr) return;

    const std::string name = unused_name(*parent, names.back());
    MetaNode& shown = parent->children[name];
    shown.kind = MetaNode::Kind::Snapshot;
    shown.snapshot = snapshot.id;
    shown.tree = snapshot.tree;
    shown.time = snapshot.time;

    MetaNode* at = &root_;
    at->time = std::max(at->time, snapshot.time);
    for (const auto& part : above) {
      at = &at->children[part];
      at->time = std::max(at->time, snapshot.time);
    }
    if (!time.empty()) link_latest(*make_folder(folder), time, name);
  }

 private:
  std::string unused_name(const MetaNode& parent, const std::string& wanted) {
    std::string name = wanted;
    std::size_t& suffix = suffixes_[{&parent, wanted}];
    while (parent.children.contains(name)) name = wanted + "-" + std::to_string(++suffix);
    return name;
  }

  // Snapshots come oldest first, so the last one to come is the newest.
  static void link_latest(MetaNode& folder, std::span<const std::string> time, const std::string& name) {
    const auto [found, made] = folder.children.try_emplace(std::string(kLatest));
    MetaNode& latest = found->second;
    if (!made && latest.kind != MetaNode::Kind::Link) return;  // a snapshot or folder has that name
    latest.kind = MetaNode::Kind::Link;
    latest.time = folder.time;
    latest.target.clear();
    for (const auto& part : time.first(time.size() - 1)) latest.target += part + "/";
    latest.target += name;
  }

  MetaNode& root_;
  std::map<std::pair<const MetaNode*, std::string>, std::size_t> suffixes_;  // the last one given out
};

}  // namespace

bool is_selected(const repo::Snapshot& snapshot, const VfsOptions& options) {
  if (!options.hosts.empty() && !holds(options.hosts, snapshot.hostname)) return false;
  const auto tagged = [&](const std::string& list) { return has_tags(snapshot, list); };
  if (!options.tags.empty() && std::none_of(options.tags.begin(), options.tags.end(), tagged)) return false;
  const auto has_path = [&](const std::string& path) { return holds(snapshot.paths, path); };
  return std::all_of(options.paths.begin(), options.paths.end(), has_path);
}

SnapshotDirs::SnapshotDirs(std::span<const repo::Snapshot> snapshots, const VfsOptions& options) {
  std::vector<PathTemplate> templates;
  for (const auto& text : options.path_templates) templates.emplace_back(text);
  if (templates.empty()) {
    for (const auto* text : kDefaultTemplates) templates.emplace_back(text);
  }
  Builder builder(root_);
  for (const auto& path : templates) builder.make_folder(safe_names(path.fixed_folder()));
  for (const auto& snapshot : snapshots) {
    if (!is_selected(snapshot, options)) continue;
    for (const auto& path : templates) {
      for (const auto& [folder, time] : path.expand(snapshot, options.time_template)) {
        builder.place(snapshot, safe_names(folder), safe_names(time));
      }
    }
  }
}

const MetaNode* SnapshotDirs::find(std::span<const std::string> names) const {
  const MetaNode* at = &root_;
  for (const auto& name : names) {
    const auto child = at->children.find(name);
    if (child == at->children.end()) return nullptr;
    at = &child->second;
  }
  return at;
}

}  // namespace restic::fs
