// SPDX-License-Identifier: MIT
#include "repo/utf8.h"

namespace restic::repo {

Rune first_rune(std::string_view text) {
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  constexpr Rune kInvalid{kReplacementCharacter, 1, false};
  const unsigned char first = byte_at(0);
  if (first < 0x80) return {first, 1, true};

  unsigned length = 0;
  char32_t value = 0;
  char32_t smallest = 0;
  if ((first & 0xe0U) == 0xc0) {
    length = 2, value = first & 0x1fU, smallest = 0x80;
  } else if ((first & 0xf0U) == 0xe0) {
    length = 3, value = first & 0x0fU, smallest = 0x800;
  } else if ((first & 0xf8U) == 0xf0) {
    length = 4, value = first & 0x07U, smallest = 0x10000;
  } else {
    return kInvalid;
  }
  if (text.size() < length) return kInvalid;
  for (unsigned i = 1; i < length; ++i) {
    if ((byte_at(i) & 0xc0U) != 0x80) return kInvalid;
    value = (value << 6U) | (byte_at(i) & 0x3fU);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest || value > 0x10ffff || surrogate) return kInvalid;
  return {value, length, true};
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Rune rune = first_rune(text);
    if (!rune.valid) return false;
    text.remove_prefix(rune.length);
  }
  return true;
}

void append_utf8(std::string& out, char32_t rune) {
  const auto tail = [&](unsigned shift) {
    out.push_back(static_cast<char>(0x80U | ((rune >> shift) & 0x3fU)));
  };
  if (rune < 0x80) {
    out.push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out.push_back(static_cast<char>(0xc0U | (rune >> 6U)));
    tail(0);
  } else if (rune < 0x10000) {
    out.push_back(static_cast<char>(0xe0U | (rune >> 12U)));
    tail(6), tail(0);
  } else {
    out.push_back(static_cast<char>(0xf0U | (rune >> 18U)));
    tail(12), tail(6), tail(0);
  }
}

}  // namespace restic::repo
