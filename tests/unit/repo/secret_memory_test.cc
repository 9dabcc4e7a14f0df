// SPDX-License-Identifier: MIT
#include "repo/secret_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

namespace restic::repo {
namespace {

// What the kernel says about the mapping an address lies in.
std::string flags_of(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) inside = first <= wanted && wanted < last;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return {};
}

TEST(SecretMemory, IsZeroAtFirstAndHoldsWhatIsWritten) {
  const SecretBytes memory(100);
  EXPECT_TRUE(std::ranges::all_of(memory.view(), [](std::uint8_t byte) { return byte == 0; }));
  std::ranges::fill(memory.span(), std::uint8_t{7});
  EXPECT_EQ(memory.view()[99], 7);
}

TEST(SecretMemory, IsLeftOutOfCoreDumps) {
  const SecretBytes memory(100);
  EXPECT_NE(flags_of(memory.data()).find(" dd"), std::string::npos) << flags_of(memory.data());
}

TEST(SecretMemory, MovesWithoutCopying) {
  SecretBytes first(10);
  const std::uint8_t* const data = first.data();
  const SecretBytes second = std::move(first);
  EXPECT_EQ(second.data(), data);
}

TEST(SecretMemoryDeathTest, HasAGuardBehindIt) {
  const SecretBytes memory(64);
  volatile std::uint8_t* const behind = memory.data() + 64;
  EXPECT_DEATH(*behind = 1, "");
}

TEST(SecretMemory, WipesCopies) {
  std::array<std::uint8_t, 3> copy{1, 2, 3};
  wipe(copy);
  EXPECT_EQ(copy, (std::array<std::uint8_t, 3>{}));
}

}  // namespace
}  // namespace restic::repo
