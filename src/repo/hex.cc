// SPDX-License-Identifier: MIT
#include "repo/hex.h"

#include <array>

namespace restic::repo {
namespace {

constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> make_digit_table() {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) table[static_cast<std::size_t>('0') + i] = i;
  for (std::uint8_t i = 0; i < 6; ++i)
    table[static_cast<std::size_t>('a') + i] = static_cast<std::uint8_t>(10 + i);
  return table;
}
constexpr std::array<std::uint8_t, 256> kDigits = make_digit_table();

}  // namespace

std::string to_hex(ByteView bytes) {
  constexpr std::string_view kAlphabet = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text.push_back(kAlphabet[byte >> 4U]);
    text.push_back(kAlphabet[byte & 15U]);
  }
  return text;
}

bool from_hex_digits(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint8_t high = kDigits[static_cast<std::uint8_t>(text[2 * i])];
    const std::uint8_t low = kDigits[static_cast<std::uint8_t>(text[2 * i + 1])];
    if ((high | low) == kNoDigit) return false;
    out[i] = static_cast<std::uint8_t>((high << 4U) | low);
  }
  return true;
}

}  // namespace restic::repo
