// SPDX-License-Identifier: MIT
#include "repo/snapshot.h"

#include <array>

#include "base/error.h"
#include "repo/json_reader.h"
#include "repo/json_writer.h"

namespace restic::repo {
namespace {

struct SummaryCount {
  std::string_view member;
  std::uint64_t SnapshotSummary::*field;
};

// In the order restic writes them.
constexpr std::array<SummaryCount, 12> kSummaryCounts{{
    {"files_new", &SnapshotSummary::files_new},
    {"files_changed", &SnapshotSummary::files_changed},
    {"files_unmodified", &SnapshotSummary::files_unmodified},
    {"dirs_new", &SnapshotSummary::dirs_new},
    {"dirs_changed", &SnapshotSummary::dirs_changed},
    {"dirs_unmodified", &SnapshotSummary::dirs_unmodified},
    {"data_blobs", &SnapshotSummary::data_blobs},
    {"tree_blobs", &SnapshotSummary::tree_blobs},
    {"data_added", &SnapshotSummary::data_added},
    {"data_added_packed", &SnapshotSummary::data_added_packed},
    {"total_files_processed", &SnapshotSummary::total_files_processed},
    {"total_bytes_processed", &SnapshotSummary::total_bytes_processed},
}};

ZonedTime get_time(json::value& value) {
  const std::optional<ZonedTime> time = parse_time(raw_string(value));
  if (!time) throw JsonError{"a time is not one"};
  return *time;
}

std::vector<std::string> get_strings(json::value& value) {
  std::vector<std::string> strings;
  for_each_element(value.get_array(), [&](json::value& element) { strings.push_back(get_string(element)); });
  return strings;
}

SnapshotSummary get_summary(json::value& value) {
  SnapshotSummary summary;
  for_each_member(value.get_object(), [&](std::string_view name, json::value& member) {
    if (name == "backup_start") summary.backup_start = get_string(member);
    if (name == "backup_end") summary.backup_end = get_string(member);
    for (const SummaryCount& count : kSummaryCounts) {
      if (name == count.member) summary.*count.field = get_uint64(member);
    }
  });
  return summary;
}

// `has_time` is set when there is one.
void read_member(Snapshot& snapshot, bool& has_time, std::string_view name, json::value& value) {
  if (name == "time") {
    const ZonedTime time = get_time(value);
    snapshot.time = time.time;
    snapshot.zone_seconds = time.zone_seconds;
    has_time = true;
  }
  if (name == "parent") snapshot.parent = get_id(value);
  if (name == "tree") snapshot.tree = get_id(value);
  if (name == "paths") snapshot.paths = get_strings(value);
  if (name == "hostname") snapshot.hostname = get_string(value);
  if (name == "username") snapshot.username = get_string(value);
  if (name == "uid") snapshot.uid = get_uint32(value);
  if (name == "gid") snapshot.gid = get_uint32(value);
  if (name == "excludes") snapshot.excludes = get_strings(value);
  if (name == "tags") snapshot.tags = get_strings(value);
  if (name == "original") snapshot.original = get_id(value);
  if (name == "program_version") snapshot.program_version = get_string(value);
  if (name == "summary") snapshot.summary = get_summary(value);
}

void write_strings(JsonWriter& json, std::string_view key, const std::vector<std::string>& strings) {
  json.key(key).begin_array();
  for (const std::string& string : strings) json.string(string);
  json.end_array();
}

void write_summary(JsonWriter& json, const SnapshotSummary& summary) {
  json.key("summary").begin_object();
  json.key("backup_start").string(summary.backup_start);
  json.key("backup_end").string(summary.backup_end);
  for (const SummaryCount& count : kSummaryCounts) json.key(count.member).number(summary.*count.field);
  json.end_object();
}

}  // namespace

Snapshot decode_snapshot(const Id& id, ByteView json_text) {
  const std::string what = "snapshots/" + id.hex();
  Snapshot snapshot;
  snapshot.id = id;
  bool has_time = false;
  decode_json(json_text, what, [&](json::document& document) {
    for_each_member(document.get_object(), [&](std::string_view name, json::value& value) {
      read_member(snapshot, has_time, name, value);
    });
  });
  if (!has_time) throw Error(Errc::Damaged, what + ": has no time");
  if (snapshot.tree.is_zero()) throw Error(Errc::Damaged, what + ": has no tree");
  return snapshot;
}

std::string encode_snapshot(const Snapshot& snapshot) {
  JsonWriter json;
  json.begin_object();
  json.key("time").string(format_time(snapshot.time, FixedZone(snapshot.zone_seconds)));
  if (snapshot.parent) json.key("parent").id(*snapshot.parent);
  json.key("tree").id(snapshot.tree);
  write_strings(json, "paths", snapshot.paths);
  if (!snapshot.hostname.empty()) json.key("hostname").string(snapshot.hostname);
  if (!snapshot.username.empty()) json.key("username").string(snapshot.username);
  if (snapshot.uid != 0) json.key("uid").number(snapshot.uid);
  if (snapshot.gid != 0) json.key("gid").number(snapshot.gid);
  if (!snapshot.excludes.empty()) write_strings(json, "excludes", snapshot.excludes);
  if (!snapshot.tags.empty()) write_strings(json, "tags", snapshot.tags);
  if (snapshot.original) json.key("original").id(*snapshot.original);
  if (!snapshot.program_version.empty()) json.key("program_version").string(snapshot.program_version);
  if (snapshot.summary) write_summary(json, *snapshot.summary);
  json.end_object();
  return json.take();
}

}  // namespace restic::repo
