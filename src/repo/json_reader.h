// SPDX-License-Identifier: MIT
// Private to src/repo: the one header here that shows simdjson.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "repo/id.h"

namespace restic::repo {

// Reading JSON as restic does, on simdjson's on-demand API: member names match in any case, the last of a
// repeated member wins, null leaves a value as it was, unknown members are passed over, a lone surrogate
// becomes U+FFFD. Text that is not UTF-8 is refused. The readers throw simdjson::simdjson_error or JsonError;
// decode_json turns both into Error{Damaged}.
namespace json = simdjson::ondemand;

struct JsonError {
  const char* what;
};

// The characters between the quotes of a string, escapes and all; valid while the document is.
std::string_view raw_string(json::value& value);
// Appends what such characters stand for.
void append_unescaped(std::string_view raw, std::string& out);

std::string get_string(json::value& value);
std::uint64_t get_uint64(json::value& value);
std::uint32_t get_uint32(json::value& value);
Id get_id(json::value& value);

// The member's name in lower case; one with escapes is returned as it stands and so matches nothing.
std::string_view member_name(json::field& field, std::string& lowered);

// Runs `member(name, value)` for each member of an object that is not null.
template <class Member>
void for_each_member(json::object object, Member&& member) {
  std::string lowered;
  for (json::field field : object) {
    const std::string_view name = member_name(field, lowered);
    json::value value = field.value();
    if (value.is_null()) continue;
    member(name, value);
  }
}

// Runs `element(value)` for each element of an array, null or not.
template <class Element>
void for_each_element(json::array array, Element&& element) {
  for (json::value value : array) element(value);
}

using JsonDecoder = std::function<void(json::document&)>;

// Parses `text` and runs `decode(document)`, which must consume the document's one value; anything but white
// space after it is an error. Throws Error{Damaged} that begins with `what`. Not to be nested; memory that
// one large document took is given back.
void decode_json(ByteView text, const std::string& what, const JsonDecoder& decode);

// The same without a copy and without traces: `text` is followed by simdjson::SIMDJSON_PADDING bytes that may
// be read.
void decode_padded_json(ByteView text, const std::string& what, json::parser& parser,
                        const JsonDecoder& decode);

}  // namespace restic::repo
