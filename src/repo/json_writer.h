// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "repo/id.h"

namespace restic::repo {

// Appends `text` as a JSON string with the escapes restic's encoder chooses (FORMAT: JSON string escaping):
// HTML-safe, an invalid UTF-8 byte becomes \ufffd, and \b \f short as all releases since 0.17 write them.
void append_json_string(std::string& out, std::string_view text);

// Writes one JSON document without white space, members in the order of the calls; commas are its work,
// balance is the caller's. Not thread-safe.
//   JsonWriter json; json.begin_object(); json.key("version").number(2); json.end_object(); json.take()
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view plain_name);  // letters, digits and '_' only
  JsonWriter& string(std::string_view value);
  JsonWriter& base64(ByteView value);
  JsonWriter& id(const Id& value);
  JsonWriter& number(std::uint64_t value);
  JsonWriter& boolean(bool value) { return literal(value ? "true" : "false"); }
  JsonWriter& null() { return literal("null"); }

  const std::string& text() const noexcept { return text_; }
  std::string take() { return std::move(text_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& literal(std::string_view text);
  void separate();

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace restic::repo
