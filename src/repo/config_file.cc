// SPDX-License-Identifier: MIT
#include "repo/config_file.h"

#include <sodium.h>

#include <charconv>
#include <optional>

#include "base/error.h"
#include "repo/json_reader.h"
#include "repo/json_writer.h"

namespace restic::repo {
namespace {

Polynomial parse_polynomial(std::string_view text) {
  Polynomial polynomial = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), polynomial, 16);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw JsonError{"the chunker polynomial is not a hex number"};
  }
  return polynomial;
}

}  // namespace

Config decode_config(ByteView json_text) {
  Config config;
  std::optional<std::uint64_t> version;
  std::optional<Id> id;
  std::optional<Polynomial> polynomial;
  decode_json(json_text, "config", [&](json::document& document) {
    for_each_member(document.get_object(), [&](std::string_view name, json::value& value) {
      if (name == "version") version = get_uint64(value);
      if (name == "id") id = get_id(value);
      if (name == "chunker_polynomial") polynomial = parse_polynomial(raw_string(value));
    });
  });
  if (!version) throw Error(Errc::Damaged, "config: names no repository version");
  if (*version < 1 || *version > 2) {
    throw Error(Errc::Unsupported, "config: repository version " + std::to_string(*version) +
                                       " is not supported, only 1 and 2 are");
  }
  if (!id || id->is_zero()) throw Error(Errc::Damaged, "config: has no repository id");
  if (!polynomial || !is_irreducible(*polynomial)) {
    throw Error(Errc::Damaged, "config: has no valid chunker polynomial");
  }
  config.version = static_cast<unsigned>(*version);
  config.id = *id;
  config.chunker_polynomial = *polynomial;
  return config;
}

std::string encode_config(const Config& config) {
  char digits[16];
  const auto [end, error] =
      std::to_chars(std::begin(digits), std::end(digits), config.chunker_polynomial, 16);
  JsonWriter json;
  json.begin_object();
  json.key("version").number(config.version);
  json.key("id").id(config.id);
  json.key("chunker_polynomial").string({digits, static_cast<std::size_t>(end - digits)});
  json.end_object();
  return json.take();
}

Config new_config() {
  Config config;
  config.version = 2;
  randombytes_buf(config.id.bytes.data(), Id::kSize);
  config.chunker_polynomial = derive_polynomial(
      [](std::span<std::uint8_t> random) { randombytes_buf(random.data(), random.size()); });
  return config;
}

}  // namespace restic::repo
