// SPDX-License-Identifier: MIT
// Any name is quoted so that it comes back; any quoted text is read or refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "repo/node_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string quoted;
  restic::repo::append_quoted(quoted, text);
  std::string back;
  if (!restic::repo::append_unquoted(back, quoted) || back != text) std::abort();
  std::string raw;
  if (restic::repo::append_unquoted(raw, text) && raw.size() > text.size()) std::abort();
  return 0;
}
