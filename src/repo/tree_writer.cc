// SPDX-License-Identifier: MIT
#include "repo/tree_writer.h"

#include "base/error.h"
#include "repo/json_writer.h"
#include "repo/node_name.h"
#include "repo/node_type.h"
#include "repo/utf8.h"

namespace restic::repo {
namespace {

void write_number_unless_zero(JsonWriter& json, std::string_view key, std::uint64_t value) {
  if (value != 0) json.key(key).number(value);
}

void write_text_unless_empty(JsonWriter& json, std::string_view key, std::string_view value) {
  if (!value.empty()) json.key(key).string(value);
}

void write_times(JsonWriter& json, const Node& node, const Zone& zone) {
  const std::string mtime = format_time(node.mtime, zone);
  json.key("mtime").string(mtime);
  json.key("atime").string(node.atime == node.mtime ? mtime : format_time(node.atime, zone));
  json.key("ctime").string(node.ctime == node.mtime ? mtime : format_time(node.ctime, zone));
}

void write_xattrs(JsonWriter& json, std::span<const Xattr> xattrs) {
  if (xattrs.empty()) return;
  json.key("extended_attributes").begin_array();
  for (const Xattr& xattr : xattrs) {
    json.begin_object();
    json.key("name").string(xattr.name);
    json.key("value").base64(as_bytes(xattr.value));
    json.end_object();
  }
  json.end_array();
}

void write_content(JsonWriter& json, const Node& node) {
  json.key("content");
  if (node.type != NodeType::File) {
    json.null();
    return;
  }
  json.begin_array();
  for (const Id& id : node.content) json.id(id);
  json.end_array();
}

void write_node(JsonWriter& json, const Node& node, std::string_view quoted_name, const Zone& zone) {
  json.begin_object();
  json.key("name").string(quoted_name);
  json.key("type").string(spelling_of(node.type));
  write_number_unless_zero(json, "mode", go_mode_of(node.type, node.mode));
  write_times(json, node, zone);
  json.key("uid").number(node.uid);
  json.key("gid").number(node.gid);
  write_text_unless_empty(json, "user", node.user);
  write_text_unless_empty(json, "group", node.group);
  write_number_unless_zero(json, "inode", node.inode);
  write_number_unless_zero(json, "device_id", node.device_id);
  if (node.type == NodeType::File) write_number_unless_zero(json, "size", node.size);
  write_number_unless_zero(json, "links", node.links);
  write_text_unless_empty(json, "linktarget", node.link_target);
  if (!is_valid_utf8(node.link_target)) json.key("linktarget_raw").base64(as_bytes(node.link_target));
  write_xattrs(json, node.xattrs);
  write_number_unless_zero(json, "device", node.device);
  write_content(json, node);
  if (node.subtree) json.key("subtree").id(*node.subtree);
  json.end_object();
}

}  // namespace

TreeWriter::TreeWriter(const Zone& zone) : zone_(zone), text_("{\"nodes\":[") {}

void TreeWriter::add(const Node& node) {
  if (!empty_ && node.name <= std::string_view(last_name_)) {
    throw Error(Errc::Usage, "the names of a folder must ascend");
  }
  if (node.type == NodeType::Dir && !node.subtree) throw Error(Errc::Usage, "a folder must have a subtree");
  quoted_.clear();
  append_quoted(quoted_, node.name);
  JsonWriter json;
  write_node(json, node, quoted_, zone_);
  if (!empty_) text_.push_back(',');
  text_ += json.text();
  last_name_ = node.name;
  empty_ = false;
}

std::string TreeWriter::finish() { return std::move(text_) + "]}\n"; }

}  // namespace restic::repo
