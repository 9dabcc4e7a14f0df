// SPDX-License-Identifier: MIT
#include "repo/tree.h"

#include <optional>
#include <string>
#include <vector>

#include "repo/base64.h"
#include "repo/json_reader.h"
#include "repo/node_name.h"
#include "repo/node_type.h"
#include "repo/tree_builder.h"

namespace restic::repo {
namespace {

// Reads one node after another; what the node read last points to stays until the next.
class NodeReader {
 public:
  const Node& read(json::object object) {
    node_ = Node{};
    node_.type = NodeType::Irregular;
    content_.clear();
    xattr_text_.clear();
    xattr_places_.clear();
    name_.clear();
    raw_target_ = false;
    for_each_member(object,
                    [this](std::string_view member, json::value& value) { read_member(member, value); });
    finish();
    return node_;
  }

 private:
  // Where a string with escapes is decoded to; one each, since a node points into all of them.
  struct Scratch {
    std::string user, group, target, raw_target;
  };
  struct XattrPlace {
    std::size_t name, value, end;  // offsets in xattr_text_
  };

  void read_member(std::string_view member, json::value& value) {
    if (member == "name") return read_name(value);
    if (member == "type") return void(node_.type = node_type_of(raw_string(value)));
    if (member == "mode") return void(node_.mode = posix_mode_of(get_uint32(value)));
    if (member == "mtime") return void(node_.mtime = read_time(value));
    if (member == "atime") return void(node_.atime = read_time(value));
    if (member == "ctime") return void(node_.ctime = read_time(value));
    if (member == "uid") return void(node_.uid = get_uint32(value));
    if (member == "gid") return void(node_.gid = get_uint32(value));
    if (member == "user") return void(node_.user = read_text(value, scratch_.user));
    if (member == "group") return void(node_.group = read_text(value, scratch_.group));
    if (member == "inode") return void(node_.inode = get_uint64(value));
    if (member == "device_id") return void(node_.device_id = get_uint64(value));
    if (member == "size") return void(node_.size = get_uint64(value));
    if (member == "links") return void(node_.links = get_uint64(value));
    if (member == "content") return read_content(value);
    if (member == "subtree") return void(node_.subtree = get_id(value));
    if (member == "linktarget") return read_target(value);
    if (member == "linktarget_raw") return read_raw_target(value);
    if (member == "device") return void(node_.device = get_uint64(value));
    if (member == "extended_attributes") read_xattrs(value);
  }

  // Without an escape, which is nearly always, the document's own bytes serve.
  static std::string_view read_text(json::value& value, std::string& scratch) {
    const std::string_view raw = raw_string(value);
    if (raw.find('\\') == std::string_view::npos) return raw;
    scratch.clear();
    append_unescaped(raw, scratch);
    return scratch;
  }

  void read_name(json::value& value) {
    const std::string_view quoted = read_text(value, quoted_name_);
    name_.clear();
    if (!append_unquoted(name_, quoted)) throw JsonError{"a name is not quoted as it should be"};
    node_.name = name_;
  }

  // A node's times are often the same, and so are those of neighbours.
  Timestamp read_time(json::value& value) {
    const std::string_view text = raw_string(value);
    if (text != last_time_text_) {
      const std::optional<ZonedTime> time = parse_time(text);
      if (!time) throw JsonError{"a time is not one"};
      last_time_text_ = text;
      last_time_ = time->time;
    }
    return last_time_;
  }

  void read_content(json::value& value) {
    content_.clear();
    for_each_element(value.get_array(), [this](json::value& id) { content_.push_back(get_id(id)); });
  }

  void read_target(json::value& value) {
    const std::string_view target = read_text(value, scratch_.target);
    if (!raw_target_) node_.link_target = target;
  }

  // The target's true bytes, where JSON could not hold them; it overrides `linktarget` in any order.
  void read_raw_target(json::value& value) {
    scratch_.raw_target = as_text(decode_base64(value));
    node_.link_target = scratch_.raw_target;
    raw_target_ = true;
  }

  void read_xattrs(json::value& value) {
    xattr_text_.clear();
    xattr_places_.clear();
    for_each_element(value.get_array(), [this](json::value& element) {
      std::string name;
      Bytes content;
      for_each_member(element.get_object(), [&](std::string_view member, json::value& part) {
        if (member == "name") name = get_string(part);
        if (member == "value") content = decode_base64(part);
      });
      // No kernel has such a name.
      if (name.empty() || name.find('\0') != std::string::npos) return;
      const std::size_t start = xattr_text_.size();
      xattr_text_ += name;
      xattr_text_ += as_text(content);
      xattr_places_.push_back({start, start + name.size(), xattr_text_.size()});
    });
  }

  static Bytes decode_base64(json::value& value) {
    std::string scratch;
    std::optional<Bytes> bytes = from_base64(read_text(value, scratch));
    if (!bytes) throw JsonError{"a value is not base64"};
    return std::move(*bytes);
  }

  void finish() {
    node_.content = content_;
    if (node_.subtree && node_.subtree->is_zero()) node_.subtree.reset();
    xattrs_.clear();
    const std::string_view text = xattr_text_;
    for (const XattrPlace& place : xattr_places_) {
      xattrs_.push_back({text.substr(place.name, place.value - place.name),
                         text.substr(place.value, place.end - place.value)});
    }
    node_.xattrs = xattrs_;
  }

  Node node_;
  std::string quoted_name_, name_;
  Scratch scratch_;
  bool raw_target_ = false;
  std::vector<Id> content_;
  std::string xattr_text_;
  std::vector<XattrPlace> xattr_places_;
  std::vector<Xattr> xattrs_;
  std::string_view last_time_text_;  // in the document
  Timestamp last_time_;
};

class TreeReader {
 public:
  explicit TreeReader(std::size_t blob_size) : builder_(blob_size / 8) {}

  void read(json::document& document) {
    bool found = false;
    for (json::field field : document.get_object()) {
      const std::string_view member = field.unescaped_key();
      if (member != "nodes" || found) continue;  // of two the first counts
      found = true;
      json::value nodes = field.value();
      for_each_element(nodes.get_array(), [this](json::value& node) { add(nodes_.read(node.get_object())); });
    }
    if (!found) throw JsonError{"it has no nodes"};
  }

  TreePtr finish(std::size_t* left_out) {
    if (left_out != nullptr) *left_out = left_out_;
    return builder_.finish();
  }

 private:
  void add(const Node& node) {
    if (is_showable_name(node.name)) {
      builder_.add(node);
    } else {
      ++left_out_;
    }
  }

  NodeReader nodes_;
  TreeBuilder builder_;
  std::size_t left_out_ = 0;
};

}  // namespace

TreePtr decode_tree(ByteView blob, std::size_t* left_out) {
  TreeReader reader(blob.size());
  decode_json(blob, "tree", [&](json::document& document) { reader.read(document); });
  return reader.finish(left_out);
}

}  // namespace restic::repo
