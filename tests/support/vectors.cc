// SPDX-License-Identifier: MIT
#include "support/vectors.h"

#include <simdjson.h>

#include <fstream>
#include <memory>
#include <stdexcept>

#include "repo/base64.h"
#include "repo/hex.h"

namespace restic::test {

struct Json::Node {
  std::shared_ptr<simdjson::dom::parser> parser;  // owns what `element` points into
  simdjson::dom::element element;
};

Json Json::load(const std::string& name) {
  auto parser = std::make_shared<simdjson::dom::parser>();
  const simdjson::dom::element root = parser->load(std::string(VECTOR_DIR) + "/" + name + ".json");
  return Json(std::make_shared<const Node>(Node{std::move(parser), root}));
}

Json Json::parse(const std::string& text) {
  auto parser = std::make_shared<simdjson::dom::parser>();
  const simdjson::dom::element root = parser->parse(text);
  return Json(std::make_shared<const Node>(Node{std::move(parser), root}));
}

Json Json::operator[](std::string_view member) const {
  return Json(std::make_shared<const Node>(Node{node_->parser, node_->element[member]}));
}

bool Json::has(std::string_view member) const { return node_->element[member].error() == simdjson::SUCCESS; }

std::vector<Json> Json::items() const {
  std::vector<Json> items;
  for (const simdjson::dom::element item : node_->element.get_array()) {
    items.push_back(Json(std::make_shared<const Node>(Node{node_->parser, item})));
  }
  return items;
}

std::vector<std::pair<std::string, Json>> Json::members() const {
  std::vector<std::pair<std::string, Json>> members;
  for (const simdjson::dom::key_value_pair member : node_->element.get_object()) {
    members.emplace_back(member.key, Json(std::make_shared<const Node>(Node{node_->parser, member.value})));
  }
  return members;
}

std::string Json::text() const { return std::string(std::string_view(node_->element)); }
std::uint64_t Json::number() const { return std::uint64_t(node_->element); }
std::int64_t Json::signed_number() const { return std::int64_t(node_->element); }
bool Json::boolean() const { return bool(node_->element); }
bool Json::is_null() const { return node_->element.is_null(); }

Bytes Json::hex() const {
  const std::string digits = text();
  Bytes bytes(digits.size() / 2);
  if (!repo::from_hex_digits(digits, bytes)) throw std::runtime_error("a vector is not hex: " + digits);
  return bytes;
}

Bytes Json::base64() const { return repo::from_base64(text()).value(); }

repo::Id Json::id() const { return repo::Id::from_hex(text()).value(); }

Bytes vector_stream(std::size_t size) {
  Bytes stream;
  stream.reserve(size + repo::Id::kSize);
  for (std::uint64_t i = 0; stream.size() < size; ++i) {
    Bytes counter(8);
    for (unsigned byte = 0; byte < 8; ++byte)
      counter[byte] = static_cast<std::uint8_t>(i >> (56U - 8U * byte));
    const repo::Id block = repo::Id::of(counter);
    stream.insert(stream.end(), block.bytes.begin(), block.bytes.end());
  }
  stream.resize(size);
  return stream;
}

std::vector<MiniRepo> MiniRepo::all() {
  std::vector<MiniRepo> repos;
  for (const Json& facts : Json::load("mini_repos")["repos"].items()) {
    repos.push_back({facts["written_by"].text(), static_cast<unsigned>(facts["format_version"].number()),
                     facts["password"].text(), facts});
  }
  return repos;
}

MiniRepo MiniRepo::of_version(unsigned format_version) {
  for (MiniRepo& repo : all()) {
    if (repo.format_version == format_version) return repo;
  }
  throw std::runtime_error("no vector of that repository version");
}

void MiniRepo::write_to(const std::filesystem::path& folder) const {
  for (const char* name : {"data", "index", "keys", "locks", "snapshots"}) {
    std::filesystem::create_directories(folder / name);
  }
  for (const auto& [path, content] : facts["files_base64"].members()) {
    std::filesystem::create_directories((folder / path).parent_path());
    const Bytes bytes = content.base64();
    std::ofstream file(folder / path, std::ios::binary);
    file << as_text(bytes);
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
  }
}

Bytes MiniRepo::file(const std::string& path) const { return facts["files_base64"][path].base64(); }

std::vector<std::string> MiniRepo::files() const {
  std::vector<std::string> paths;
  for (const auto& [path, content] : facts["files_base64"].members()) paths.push_back(path);
  return paths;
}

}  // namespace restic::test
