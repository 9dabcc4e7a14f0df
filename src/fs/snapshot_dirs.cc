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
  for (const auto& path : templates) make_folder(safe_names(path.fixed_folder()));
  for (const auto& snapshot : snapshots) {
    if (!is_selected(snapshot, options)) continue;
    for (const auto& path : templates) {
      for (const auto& [folder, time] : path.expand(snapshot, options.time_template)) {
        place(snapshot, folder, time);
      }
    }
  }
}

// The folder of this path, made where it was missing; null when a snapshot or a link is in the way.
MetaNode* SnapshotDirs::make_folder(std::span<const std::string> names) {
  MetaNode* at = &root_;
  for (const auto& name : names) {
    at = &at->children[name];
    if (at->kind != MetaNode::Kind::Folder) return nullptr;
  }
  return at;
}

void SnapshotDirs::place(const repo::Snapshot& snapshot, const std::string& folder, const std::string& name) {
  std::vector<std::string> names = safe_names(folder);
  const auto within = names.size();
  for (auto& part : safe_names(name)) names.push_back(std::move(part));
  if (names.empty()) return;
  MetaNode* const parent = make_folder(std::span(names).first(names.size() - 1));
  if (parent == nullptr) return;

  std::string unique = names.back();
  for (std::size_t suffix = 1; parent->children.contains(unique); ++suffix) {
    unique = names.back() + "-" + std::to_string(suffix);
  }
  MetaNode& shown = parent->children[unique];
  shown.kind = MetaNode::Kind::Snapshot;
  shown.snapshot = snapshot.id;
  shown.tree = snapshot.tree;
  shown.time = snapshot.time;

  MetaNode* above = &root_;
  above->time = std::max(above->time, snapshot.time);
  for (const auto& part : std::span(names).first(names.size() - 1)) {
    above = &above->children[part];
    above->time = std::max(above->time, snapshot.time);
  }

  if (name.empty()) return;
  MetaNode* const dated = make_folder(std::span(names).first(within));
  MetaNode& latest = dated->children[std::string(kLatest)];
  if (latest.kind == MetaNode::Kind::Snapshot || !latest.children.empty()) return;
  latest.kind = MetaNode::Kind::Link;
  latest.time = snapshot.time;
  latest.target.clear();
  for (auto part = within; part + 1 < names.size(); ++part) latest.target += names[part] + "/";
  latest.target += unique;
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
