// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "repo/id.h"

namespace restic::test {

// A JSON value of a vector file, read without ceremony: a missing member or a wrong type throws. Copies are
// cheap.
class Json {
 public:
  struct Node;

  // tests/vectors/<name>.json
  static Json load(const std::string& name);
  static Json parse(const std::string& text);

  Json operator[](std::string_view member) const;
  bool has(std::string_view member) const;
  std::vector<Json> items() const;                            // of an array
  std::vector<std::pair<std::string, Json>> members() const;  // of an object, in file order
  std::string text() const;
  std::uint64_t number() const;
  std::int64_t signed_number() const;
  bool boolean() const;
  bool is_null() const;
  Bytes hex() const;     // a string of hex digits
  Bytes base64() const;  // a string of base64
  repo::Id id() const;   // a string of 64 hex digits

 private:
  explicit Json(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

// The first `size` bytes of the stream G that chunker.json and polynomials.json speak of.
Bytes vector_stream(std::size_t size);

// A complete small repository that a real restic wrote.
struct MiniRepo {
  std::string written_by;  // "restic 0.19.1"
  unsigned format_version;
  std::string password;
  Json facts;  // its entry in mini_repos.json

  // All of mini_repos.json.
  static std::vector<MiniRepo> all();
  static MiniRepo of_version(unsigned format_version);
  // Writes the repository's files below `folder`, in restic's local layout.
  void write_to(const std::filesystem::path& folder) const;
  // One file's stored bytes; `path` as in the repository: "index/ab12…", "data/ab/ab12…".
  Bytes file(const std::string& path) const;
  std::vector<std::string> files() const;
};

}  // namespace restic::test
