// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace restic::tools {

// Secrets and addresses that people keep in text files, read as restic reads them (FORMAT: password sources):
// a UTF-8 byte order mark is dropped, UTF-16 with its mark becomes UTF-8, white space at both ends is cut,
// Unicode's included.
std::string clean_text(std::string bytes);

// The file's text, cleaned. Throws Error: NotFound or Denied or Io with the reason, Usage when it is a folder
// or larger than a line of text can be (1 MiB).
std::string read_text_file(const std::string& path);

// Overwrites the characters, so that no copy of a secret stays in freed memory.
void wipe(std::string& secret) noexcept;

}  // namespace restic::tools
