// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace restic::repo {

// A polynomial over GF(2); bit i is the coefficient of x^i. The chunker's fingerprint is a remainder modulo
// one (FORMAT: chunker).
using Polynomial = std::uint64_t;

// Chunking works for this degree only, and only for irreducible polynomials.
inline constexpr int kChunkerDegree = 53;

// -1 for 0.
int degree(Polynomial polynomial);
// `divisor` is not 0.
Polynomial remainder(Polynomial dividend, Polynomial divisor);
// Ben-Or's test. As restic computes it, 0 and 1 pass too: they have no factor to find.
bool is_irreducible(Polynomial polynomial);
bool usable_for_chunking(Polynomial polynomial);

// The first usable polynomial that a source of random bytes makes, as restic derives it: eight bytes,
// little-endian, a try. `fill` writes all of its argument.
Polynomial derive_polynomial(const std::function<void(std::span<std::uint8_t>)>& fill);

}  // namespace restic::repo
