// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace restic::repo {

// Standard base64 with padding, as Go's encoding/json writes byte slices.
std::string to_base64(ByteView bytes);

// nullopt: not base64. Line breaks are ignored, as Go ignores them; anything else must be exact.
std::optional<Bytes> from_base64(std::string_view text);

// The same into memory the caller owns, for secrets: returns the number of bytes written, nullopt when `text`
// is not base64 or decodes to more than `out` holds.
std::optional<std::size_t> from_base64(std::string_view text, std::span<std::uint8_t> out);

}  // namespace restic::repo
