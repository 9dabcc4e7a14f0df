// SPDX-License-Identifier: MIT
#include "repo/polynomial.h"

#include <array>
#include <bit>

namespace restic::repo {
namespace {

// a * b mod m for a, b of lower degree than m: the product is never wider than one step beyond m's degree.
Polynomial multiply(Polynomial a, Polynomial b, Polynomial modulus) {
  const int top = degree(modulus);
  Polynomial product = 0;
  for (int bit = degree(b); bit >= 0; --bit) {
    const bool carry = top > 0 && ((product >> (top - 1)) & 1U) != 0;
    product <<= 1U;
    if (carry) product ^= modulus;
    if (((b >> bit) & 1U) != 0) product ^= a;
  }
  return product;
}

Polynomial greatest_common_divisor(Polynomial a, Polynomial b) {
  while (b != 0) {
    const Polynomial rest = remainder(a, b);
    a = b;
    b = rest;
  }
  return a;
}

}  // namespace

int degree(Polynomial polynomial) { return static_cast<int>(std::bit_width(polynomial)) - 1; }

Polynomial remainder(Polynomial dividend, Polynomial divisor) {
  const int divisor_degree = degree(divisor);
  for (int excess = degree(dividend) - divisor_degree; excess >= 0;
       excess = degree(dividend) - divisor_degree) {
    dividend ^= divisor << excess;
    if (dividend == 0) break;
  }
  return dividend;
}

bool is_irreducible(Polynomial polynomial) {
  // Irreducible of degree n: no factor of degree i <= n/2, all of which divide x^(2^i) - x.
  constexpr Polynomial kX = 2;
  Polynomial power = kX;
  for (int i = 1; i <= degree(polynomial) / 2; ++i) {
    power = multiply(power, power, polynomial);
    if (greatest_common_divisor(polynomial, power ^ kX) != 1) return false;
  }
  return true;
}

bool usable_for_chunking(Polynomial polynomial) {
  return degree(polynomial) == kChunkerDegree && is_irreducible(polynomial);
}

Polynomial derive_polynomial(const std::function<void(std::span<std::uint8_t>)>& fill) {
  constexpr Polynomial kTop = Polynomial{1} << kChunkerDegree;
  for (;;) {
    std::array<std::uint8_t, 8> random;
    fill(random);
    Polynomial candidate = 0;
    for (std::size_t i = random.size(); i-- > 0;) candidate = (candidate << 8U) | random[i];
    candidate = (candidate & (kTop - 1)) | kTop | 1U;
    if (is_irreducible(candidate)) return candidate;
  }
}

}  // namespace restic::repo
