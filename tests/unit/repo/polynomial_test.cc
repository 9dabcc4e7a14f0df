// SPDX-License-Identifier: MIT
#include "repo/polynomial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

Polynomial polynomial_of(const std::string& hex) { return std::stoull(hex, nullptr, 16); }

TEST(Polynomial, EveryVectorIsToldApart) {
  for (const Json& vector : Json::load("polynomials")["polynomials"].items()) {
    const Polynomial polynomial = polynomial_of(vector["polynomial"].text());
    EXPECT_EQ(is_irreducible(polynomial), vector["irreducible"].boolean()) << std::hex << polynomial;
    EXPECT_EQ(usable_for_chunking(polynomial), vector["irreducible"].boolean());
  }
}

TEST(Polynomial, SmallOnesAreToldApart) {
  // All irreducible polynomials up to degree 4.
  const std::vector<Polynomial> irreducible{2, 3, 7, 11, 13, 19, 25, 31};
  for (Polynomial p = 2; p < 32; ++p) {
    EXPECT_EQ(is_irreducible(p), std::ranges::find(irreducible, p) != irreducible.end()) << p;
  }
}

TEST(Polynomial, OnlyDegree53IsChunkedWith) {
  EXPECT_TRUE(is_irreducible(7));
  EXPECT_FALSE(usable_for_chunking(7));
  EXPECT_FALSE(usable_for_chunking(0));
  EXPECT_FALSE(usable_for_chunking(1));
}

TEST(Polynomial, HasDegreesAndRemainders) {
  EXPECT_EQ(degree(0), -1);
  EXPECT_EQ(degree(1), 0);
  EXPECT_EQ(degree(~Polynomial{0}), 63);
  EXPECT_EQ(remainder(0b1101, 0b11), 1U);
  EXPECT_EQ(remainder(0b10, 0b11), 1U);
  EXPECT_EQ(remainder(5, 5), 0U);
  EXPECT_EQ(remainder(3, 8), 3U);
}

TEST(Polynomial, IsDerivedFromRandomBytesAsResticDoes) {
  const Json example = Json::load("polynomials")["derive_example"];
  const std::uint64_t attempts = example["attempts"].number();
  const Bytes stream = test::vector_stream(8 * attempts);
  std::size_t position = 0;
  const Polynomial derived = derive_polynomial([&](std::span<std::uint8_t> out) {
    ASSERT_LE(position + out.size(), stream.size());
    std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(position), out.size(), out.begin());
    position += out.size();
  });
  EXPECT_EQ(derived, polynomial_of(example["result"].text()));
  EXPECT_EQ(position, stream.size());
}

}  // namespace
}  // namespace restic::repo
