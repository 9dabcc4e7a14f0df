// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace restic::repo {

// Spreads ids over hash tables in a way that nobody can foresee who does not know the seed. An index file may
// claim any ids, also ones of which all but a few bits are equal: a hash without a seed, or one that leaves a
// part of the id out, would let it turn every table into a list. Immutable and thread-safe.
class SeededHash {
 public:
  SeededHash();  // a random seed
  // One for all small tables of this process.
  static const SeededHash& of_process();

  std::uint64_t operator()(const std::array<std::uint8_t, 32>& id) const noexcept {
    std::uint64_t words[4];
    static_assert(sizeof words == sizeof id);
    std::memcpy(words, id.data(), sizeof words);
    return folded_product(words[0] ^ seed_[0], words[1] ^ seed_[1]) ^
           folded_product(words[2] ^ seed_[2], words[3] ^ seed_[3]);
  }

 private:
  __extension__ using Wide = unsigned __int128;

  static std::uint64_t folded_product(std::uint64_t left, std::uint64_t right) noexcept {
    const Wide product = Wide{left} * right;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
  }

  std::array<std::uint64_t, 4> seed_;
};

}  // namespace restic::repo
