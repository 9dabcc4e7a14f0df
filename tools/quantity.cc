// SPDX-License-Identifier: MIT
#include "tools/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace restic::tools {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Error(Errc::Usage, "'" + text + "' " + why);
}

struct Quantity {
  std::uint64_t number;
  std::string unit;  // lower case
};

Quantity split(const std::string& text, const std::string& help) {
  Quantity quantity{};
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, quantity.number);
  if (failure == std::errc::result_out_of_range) refuse(text, "is too large");
  if (failure != std::errc()) refuse(text, "does not start with a whole number; " + help);
  quantity.unit.assign(rest, end);
  std::transform(quantity.unit.begin(), quantity.unit.end(), quantity.unit.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return quantity;
}

template <std::size_t N>
std::uint64_t scale(const std::string& text,
                    const std::array<std::pair<std::string_view, std::uint64_t>, N>& units,
                    std::uint64_t most, const std::string& help) {
  const Quantity quantity = split(text, help);
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const auto& known) { return known.first == quantity.unit; });
  if (unit == units.end()) refuse(text, "has no known unit; " + help);
  if (quantity.number > most / unit->second) refuse(text, "is too large");
  return quantity.number * unit->second;
}

}  // namespace

std::uint64_t parse_size(const std::string& text) {
  constexpr std::uint64_t kKi = 1024;
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 14> kUnits{
      {{"", 1},
       {"b", 1},
       {"k", kKi},
       {"kb", kKi},
       {"kib", kKi},
       {"m", kKi * kKi},
       {"mb", kKi * kKi},
       {"mib", kKi * kKi},
       {"g", kKi * kKi * kKi},
       {"gb", kKi * kKi * kKi},
       {"gib", kKi * kKi * kKi},
       {"t", kKi * kKi * kKi * kKi},
       {"tb", kKi * kKi * kKi * kKi},
       {"tib", kKi * kKi * kKi * kKi}}};
  return scale(text, kUnits, std::numeric_limits<std::int64_t>::max(),
               "write bytes, or a number with K, M, G or T, such as 512M");
}

std::optional<std::chrono::milliseconds> parse_duration(const std::string& text) {
  if (text == "never") return std::nullopt;
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 6> kUnits{
      {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  constexpr std::uint64_t kTenYears = 3650ULL * 86'400'000;
  return std::chrono::milliseconds(
      scale(text, kUnits, kTenYears, "write a time such as 500ms, 60s, 5m, 2h or 1d, or never"));
}

std::uint64_t parse_number(const std::string& text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc() || rest != end || number < least || number > most) {
    refuse(text, "is not a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

std::uint32_t parse_umask(const std::string& text) {
  std::uint32_t bits = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, bits, 8);
  if (failure != std::errc() || rest != end || bits > 0777) {
    refuse(text, "is not an octal mode from 000 to 777; write for example 077");
  }
  return bits;
}

}  // namespace restic::tools
