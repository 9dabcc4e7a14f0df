// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace restic::tools {

// The numbers of the command line. Each throws Error{Usage} that repeats the text, says what is wrong with it
// and shows what would be right.

// "1000", "512K", "512M", "2G", "1T" (also "MiB", "MB", any case): bytes, in powers of 1024.
std::uint64_t parse_size(const std::string& text);

// "500ms", "60s", "5m", "2h", "1d"; a number alone is seconds. "never" is nullopt.
std::optional<std::chrono::milliseconds> parse_duration(const std::string& text);

// Decimal, from `least` to `most`.
std::uint64_t parse_number(const std::string& text, std::uint64_t least, std::uint64_t most);

// Octal permission bits, 0 to 0777.
std::uint32_t parse_umask(const std::string& text);

}  // namespace restic::tools
