// SPDX-License-Identifier: MIT
#include "repo/id.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace restic::repo {
namespace {

TEST(Id, IsTheSha256OfTheContent) {
  EXPECT_EQ(Id::of({}).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Id::of(as_bytes("abc")).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Id::of(as_bytes("abc")).short_hex(), "ba7816bf");
}

TEST(Id, IsTheSameForContentInPieces) {
  IdHasher hasher;
  for (int round = 0; round < 2; ++round) {
    hasher.start();
    hasher.add(as_bytes("ab"));
    hasher.add({});
    hasher.add(as_bytes("c"));
    EXPECT_EQ(hasher.finish(), Id::of(as_bytes("abc")));
  }
}

TEST(Id, ParsesExactly64LowerCaseDigits) {
  const std::string hex = Id::of({}).hex();
  EXPECT_EQ(Id::from_hex(hex), Id::of({}));
  EXPECT_FALSE(Id::from_hex(hex.substr(1)));
  EXPECT_FALSE(Id::from_hex(hex + "0"));
  EXPECT_FALSE(Id::from_hex(""));
  for (const char wrong : {'g', 'A', 'F', ' ', '/', ':', '\0', '\xff'}) {
    for (const std::size_t position : {0U, 1U, 63U}) {
      std::string text = hex;
      text[position] = wrong;
      EXPECT_FALSE(Id::from_hex(text)) << text;
    }
  }
}

TEST(Id, NoBytesOfAnIdCollideByTheirChoice) {
  constexpr std::size_t kIds = 4096;
  for (std::size_t varied = 0; varied + 2 <= Id::kSize; varied += 2) {
    std::set<std::size_t> hashes;
    for (std::size_t i = 0; i < kIds; ++i) {
      Id id;
      id.bytes[varied] = static_cast<std::uint8_t>(i);
      id.bytes[varied + 1] = static_cast<std::uint8_t>(i >> 8U);
      hashes.insert(IdHash()(id));
    }
    EXPECT_EQ(hashes.size(), kIds) << "bytes " << varied;
  }
}

TEST(Id, IsOrderedByItsBytes) {
  Id small, large;
  large.bytes[0] = 1;
  small.bytes[31] = 255;
  EXPECT_LT(small, large);
  EXPECT_TRUE(Id{}.is_zero());
  EXPECT_FALSE(small.is_zero());
}

}  // namespace
}  // namespace restic::repo
