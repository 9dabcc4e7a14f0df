// SPDX-License-Identifier: MIT
#include "repo/node_name.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "repo/print_table.h"
#include "repo/utf8.h"

namespace restic::repo {
namespace {

void append_hex(std::string& out, char32_t value, unsigned digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (unsigned i = digits; i-- > 0;) out.push_back(kHex[(value >> (4 * i)) & 15U]);
}

// The letter of a one-letter escape, 0 when there is none.
char escape_letter(char32_t rune) {
  switch (rune) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    default:
      return 0;
  }
}

void append_escaped(std::string& out, char32_t rune) {
  out.push_back('\\');
  if (const char letter = escape_letter(rune)) {
    out.push_back(letter);
  } else if (rune < 0x20 || rune == 0x7f) {
    out.push_back('x');
    append_hex(out, rune, 2);
  } else if (rune < 0x10000) {
    out.push_back('u');
    append_hex(out, rune, 4);
  } else {
    out.push_back('U');
    append_hex(out, rune, 8);
  }
}

// Takes exactly `count` digits off the front.
std::optional<char32_t> take_digits(std::string_view& text, std::size_t count, int base) {
  if (text.size() < count) return std::nullopt;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + count, value, base);
  if (error != std::errc() || end != text.data() + count) return std::nullopt;
  text.remove_prefix(count);
  return value;
}

bool append_byte(std::string& out, std::optional<char32_t> byte) {
  if (!byte || *byte > 0xff) return false;
  out.push_back(static_cast<char>(*byte));
  return true;
}

bool append_rune(std::string& out, std::optional<char32_t> rune) {
  if (!rune || *rune > 0x10ffff || (*rune >= 0xd800 && *rune <= 0xdfff)) return false;
  append_utf8(out, *rune);
  return true;
}

// `text` is what follows the backslash; takes the escape off its front.
bool append_escape(std::string& out, std::string_view& text) {
  if (text.empty()) return false;
  const char letter = text.front();
  if (letter >= '0' && letter <= '7') return append_byte(out, take_digits(text, 3, 8));
  text.remove_prefix(1);
  switch (letter) {
    case 'a':
      out.push_back('\a');
      return true;
    case 'b':
      out.push_back('\b');
      return true;
    case 'f':
      out.push_back('\f');
      return true;
    case 'n':
      out.push_back('\n');
      return true;
    case 'r':
      out.push_back('\r');
      return true;
    case 't':
      out.push_back('\t');
      return true;
    case 'v':
      out.push_back('\v');
      return true;
    case '\\':
    case '"':
      out.push_back(letter);
      return true;
    case 'x':
      return append_byte(out, take_digits(text, 2, 16));
    case 'u':
      return append_rune(out, take_digits(text, 4, 16));
    case 'U':
      return append_rune(out, take_digits(text, 8, 16));
    default:
      return false;
  }
}

}  // namespace

void append_quoted(std::string& out, std::string_view name) {
  while (!name.empty()) {
    const Rune rune = first_rune(name);
    if (!rune.valid) {
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(name.front()), 2);
    } else if (rune.value == '"' || rune.value == '\\') {
      out.push_back('\\');
      out.push_back(name.front());
    } else if (is_print(rune.value)) {
      out.append(name.substr(0, rune.length));
    } else {
      append_escaped(out, rune.value);
    }
    name.remove_prefix(rune.length);
  }
}

bool append_unquoted(std::string& out, std::string_view quoted) {
  while (!quoted.empty()) {
    const std::size_t plain = std::min(quoted.find_first_of("\\\"\n"), quoted.size());
    out.append(quoted.substr(0, plain));
    quoted.remove_prefix(plain);
    if (quoted.empty()) return true;
    if (quoted.front() != '\\') return false;
    quoted.remove_prefix(1);
    if (!append_escape(out, quoted)) return false;
  }
  return true;
}

bool is_showable_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

bool is_print(char32_t rune) {
  if (rune < 0x7f) return rune >= 0x20;
  const auto* const range =
      std::partition_point(std::begin(kPrintRanges), std::end(kPrintRanges),
                           [rune](const PrintRange& candidate) { return candidate.last < rune; });
  return range != std::end(kPrintRanges) && range->first <= rune;
}

}  // namespace restic::repo
