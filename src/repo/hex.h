// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace restic::repo {

// Two lower-case digits a byte.
std::string to_hex(ByteView bytes);

// Fills `out`; false when `text` is not exactly two lower-case hex digits for each of its bytes. Upper-case
// digits are refused, because restic opens files by their lower-case names only.
[[nodiscard]] bool from_hex_digits(std::string_view text, std::span<std::uint8_t> out);

}  // namespace restic::repo
