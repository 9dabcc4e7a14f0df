// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace restic::repo {

// A tree stores a file name, which is any bytes, as the body of a Go string literal (FORMAT: name quoting).
// These are strconv.Quote and strconv.Unquote, pinned to Unicode 15.0; the JSON layer escapes the result once
// more.

// Appends the quoted form, without the outer quotes.
void append_quoted(std::string& out, std::string_view name);

// Appends the raw bytes that a quoted form stands for. False: a bare quote or newline, an unknown or cut
// escape; `out` then holds a part.
[[nodiscard]] bool append_unquoted(std::string& out, std::string_view quoted);

// Whether a directory can show an entry of that name: not empty, ".", "..", nor with '/' or NUL in it.
bool is_showable_name(std::string_view name);

// Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols, and of the spaces only U+0020.
bool is_print(char32_t rune);

}  // namespace restic::repo
