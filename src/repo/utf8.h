// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace restic::repo {

inline constexpr char32_t kReplacementCharacter = 0xfffd;

// One code point as Go decodes it. An invalid byte (a stray or overlong sequence, a surrogate, a cut tail) is
// taken alone: length 1, valid false.
struct Rune {
  char32_t value;
  unsigned length;  // bytes
  bool valid;
};

// `text` must not be empty.
Rune first_rune(std::string_view text);
bool is_valid_utf8(std::string_view text);
// `rune` at most U+10FFFF and no surrogate.
void append_utf8(std::string& out, char32_t rune);

}  // namespace restic::repo
