// SPDX-License-Identifier: MIT
#include "repo/index_file.h"

#include <simdjson.h>

#include <optional>
#include <string_view>

#include "base/error.h"

namespace restic::repo {

namespace {

namespace ondemand = simdjson::ondemand;

// An id between quotes. The text before its closing quote is 64 digits or an error, so that nothing need be
// unescaped.
Id read_id(ondemand::value value) {
  const ondemand::raw_json_string text = value.get_raw_json_string();
  // Never beyond the buffer: the string is closed within the document, and padding follows that.
  static_assert(simdjson::SIMDJSON_PADDING >= 2 * Id::kSize);
  const std::string_view digits(text.raw(), 2 * Id::kSize);
  const std::optional<Id> id = Id::from_hex(digits);
  if (!id || text.raw()[digits.size()] != '"') throw Error(Errc::Damaged, "an id is not 64 hex digits");
  return *id;
}

BlobType read_type(ondemand::value value) {
  const ondemand::raw_json_string text = value.get_raw_json_string();
  if (text == "data") return BlobType::Data;
  if (text == "tree") return BlobType::Tree;
  throw Error(Errc::Damaged, "a blob is of unknown type");
}

IndexSegmentBuilder::Blob read_blob(ondemand::object members, unsigned repository_version) {
  std::optional<Id> id;
  std::optional<BlobType> type;
  IndexSegmentBuilder::Blob blob{};
  for (ondemand::field member : members) {
    const ondemand::raw_json_string key = member.key();
    if (key == "id") {
      id = read_id(member.value());
    } else if (key == "type") {
      type = read_type(member.value());
    } else if (key == "offset") {
      blob.offset = member.value().get_uint64();
    } else if (key == "length") {
      blob.length = member.value().get_uint64();
    } else if (key == "uncompressed_length") {
      blob.uncompressed_length = member.value().get_uint64();
    }
  }
  if (!id) throw Error(Errc::Damaged, "a blob has no id");
  if (!type) throw Error(Errc::Damaged, "a blob has no type");
  if (blob.uncompressed_length != 0 && repository_version < 2) {
    throw Error(Errc::Unsupported, "it lists compressed blobs, which a repository of version 1 cannot hold");
  }
  blob.id = *id;
  blob.type = *type;
  return blob;
}

// The elements of an array that may be null instead.
template <class Each>
void for_each_object(ondemand::value list, const Each& each) {
  if (list.is_null()) return;
  for (ondemand::value element : list.get_array()) each(element.get_object());
}

void read_pack(ondemand::object members, unsigned repository_version, IndexSegmentBuilder& builder) {
  Id pack;
  builder.begin_pack();
  for (ondemand::field member : members) {
    const ondemand::raw_json_string key = member.key();
    if (key == "id") {
      pack = read_id(member.value());
    } else if (key == "blobs") {
      for_each_object(member.value(),
                      [&](ondemand::object blob) { builder.add_blob(read_blob(blob, repository_version)); });
    }
  }
  builder.end_pack(pack);
}

void append_number(std::string& out, std::string_view name, std::uint32_t number) {
  out.append(name);
  out.append(std::to_string(number));
}

void append_blob(std::string& out, const PackedBlob& blob) {
  out.append(R"({"id":")");
  out.append(blob.key.id.hex());
  out.append(blob.key.type == BlobType::Tree ? R"(","type":"tree")" : R"(","type":"data")");
  append_number(out, R"(,"offset":)", blob.offset);
  append_number(out, R"(,"length":)", blob.length);
  if (blob.uncompressed_length != 0)
    append_number(out, R"(,"uncompressed_length":)", blob.uncompressed_length);
  out.push_back('}');
}

}  // namespace

struct IndexFileParser::Impl {
  void read(const Bytes& json, unsigned repository_version) {
    ondemand::document document =
        parser.iterate(reinterpret_cast<const char*>(json.data()), json.size(), json.capacity());
    const auto each_pack = [&](ondemand::object pack) { read_pack(pack, repository_version, builder); };
    if (document.type() == ondemand::json_type::array) {
      for (ondemand::value pack : document.get_array()) each_pack(pack.get_object());
    } else {
      for (ondemand::field member : document.get_object()) {
        if (member.key() == "packs") for_each_object(member.value(), each_pack);
      }
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      throw Error(Errc::Damaged, "text follows the JSON");
  }

  ondemand::parser parser;
  IndexSegmentBuilder builder;
};

IndexFileParser::IndexFileParser() : impl_(std::make_unique<Impl>()) {}
IndexFileParser::~IndexFileParser() = default;
IndexFileParser::IndexFileParser(IndexFileParser&&) noexcept = default;
IndexFileParser& IndexFileParser::operator=(IndexFileParser&&) noexcept = default;

IndexSegmentPtr IndexFileParser::parse(const Id& file, Bytes& json, unsigned repository_version) {
  json.reserve(json.size() + simdjson::SIMDJSON_PADDING);
  impl_->builder.reset();
  try {
    impl_->read(json, repository_version);
  } catch (const simdjson::simdjson_error& error) {
    throw Error(Errc::Damaged, "index/" + file.hex() + ": " + error.what());
  } catch (const Error& error) {
    throw Error(error.code(), "index/" + file.hex() + ": " + error.what());
  }
  return impl_->builder.finish(file);
}

std::string encode_index_file(std::span<const PackEntry> packs) {
  constexpr std::size_t kUsualBlobJson = 150, kUsualPackJson = 90;
  std::size_t size = 0;
  for (const PackEntry& pack : packs) size += kUsualPackJson + pack.blobs.size() * kUsualBlobJson;
  std::string out;
  out.reserve(size);
  out.append(R"({"packs":[)");
  for (const PackEntry& pack : packs) {
    if (&pack != packs.data()) out.push_back(',');
    out.append(R"({"id":")").append(pack.pack.hex()).append(R"(","blobs":[)");
    for (const PackedBlob& blob : pack.blobs) {
      if (&blob != pack.blobs.data()) out.push_back(',');
      append_blob(out, blob);
    }
    out.append("]}");
  }
  out.append("]}\n");
  return out;
}

}  // namespace restic::repo
