// SPDX-License-Identifier: MIT
#include "repo/json_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "repo/utf8.h"

namespace restic::repo {
namespace {

// Parser and copy of a document this large stay with their thread for the next one.
constexpr std::size_t kKeptCapacity = 4U << 20U;

// The four hex digits of a \u escape.
char32_t code_unit(std::string_view digits) {
  std::uint32_t unit = 0;
  if (digits.size() < 4) throw JsonError{"a string ends within an escape"};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + 4, unit, 16);
  if (error != std::errc() || end != digits.data() + 4) throw JsonError{"a string has an unknown escape"};
  return unit;
}

bool is_high_surrogate(char32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(char32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

// Reads one or two \u escapes at the start of `raw`; returns how many characters that took.
std::size_t append_unicode_escape(std::string_view raw, std::string& out) {
  const char32_t unit = code_unit(raw.substr(2));
  if (is_high_surrogate(unit) && raw.size() >= 12 && raw[6] == '\\' && raw[7] == 'u') {
    const char32_t second = code_unit(raw.substr(8));
    if (is_low_surrogate(second)) {
      append_utf8(out, 0x10000 + ((unit - 0xd800) << 10U) + (second - 0xdc00));
      return 12;
    }
  }
  append_utf8(out, is_high_surrogate(unit) || is_low_surrogate(unit) ? kReplacementCharacter : unit);
  return 6;
}

char simple_escape(char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      throw JsonError{"a string has an unknown escape"};
  }
}

}  // namespace

std::string_view raw_string(json::value& value) {
  // The parser has made sure that every string ends, and has no NUL before that.
  const char* const begin = value.get_raw_json_string().value().raw();
  const char* end = std::strchr(begin, '"');
  if (std::memchr(begin, '\\', static_cast<std::size_t>(end - begin)) != nullptr) {
    end = begin;
    while (*end != '"') end += *end == '\\' ? 2 : 1;
  }
  return {begin, static_cast<std::size_t>(end - begin)};
}

void append_unescaped(std::string_view raw, std::string& out) {
  while (!raw.empty()) {
    const std::size_t plain = std::min(raw.find('\\'), raw.size());
    out.append(raw.substr(0, plain));
    raw.remove_prefix(plain);
    if (raw.empty()) return;
    if (raw.size() < 2) throw JsonError{"a string ends within an escape"};
    if (raw[1] == 'u') {
      raw.remove_prefix(append_unicode_escape(raw, out));
    } else {
      out.push_back(simple_escape(raw[1]));
      raw.remove_prefix(2);
    }
  }
}

std::string get_string(json::value& value) {
  std::string text;
  append_unescaped(raw_string(value), text);
  return text;
}

std::uint64_t get_uint64(json::value& value) { return value.get_uint64().value(); }

std::uint32_t get_uint32(json::value& value) {
  const std::uint64_t wide = get_uint64(value);
  if (wide > std::numeric_limits<std::uint32_t>::max()) throw JsonError{"a number is out of range"};
  return static_cast<std::uint32_t>(wide);
}

Id get_id(json::value& value) {
  const std::optional<Id> id = Id::from_hex(raw_string(value));
  if (!id) throw JsonError{"an id is not 64 lower-case hex digits"};
  return *id;
}

std::string_view member_name(json::field& field, std::string& lowered) {
  const char* const begin = field.key().raw();
  const char* end = begin;
  bool upper = false;
  for (; *end != '"'; end += *end == '\\' ? 2 : 1) upper = upper || (*end >= 'A' && *end <= 'Z');
  const std::string_view name(begin, static_cast<std::size_t>(end - begin));
  if (!upper) return name;
  lowered.assign(name);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

void decode_padded_json(ByteView text, const std::string& what, json::parser& parser,
                        const JsonDecoder& decode) {
  const auto fail = [&](const char* why) { throw Error(Errc::Damaged, what + ": not valid: " + why); };
  try {
    if (text.empty()) fail("it is empty");
    const auto* const data = reinterpret_cast<const char*>(text.data());
    json::document document = parser.iterate(
        simdjson::padded_string_view(data, text.size(), text.size() + simdjson::SIMDJSON_PADDING));
    decode(document);
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) fail("something follows the JSON");
  } catch (const simdjson::simdjson_error& error) {
    fail(error.what());
  } catch (const JsonError& error) {
    fail(error.what);
  }
}

void decode_json(ByteView text, const std::string& what, const JsonDecoder& decode) {
  thread_local json::parser parser;
  thread_local Bytes copy;
  // simdjson reads beyond the end, so that the text needs a copy with room.
  copy.resize(text.size() + simdjson::SIMDJSON_PADDING);
  std::copy(text.begin(), text.end(), copy.begin());
  std::fill(copy.begin() + static_cast<std::ptrdiff_t>(text.size()), copy.end(), std::uint8_t{0});
  const auto trim = [&] {
    if (copy.capacity() <= kKeptCapacity && parser.capacity() <= kKeptCapacity) return;
    copy = Bytes();
    parser = json::parser();
  };
  try {
    decode_padded_json(ByteView(copy).first(text.size()), what, parser, decode);
  } catch (...) {
    trim();
    throw;
  }
  trim();
}

}  // namespace restic::repo
