// SPDX-License-Identifier: MIT
// Any bytes decompress to at most the limit or fail as Damaged.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "repo/compression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLimit = 1U << 20U;
  try {
    restic::Bytes plain = restic::repo::decompress({data, size}, kLimit, "fuzz");
    if (plain.size() > kLimit) std::abort();
    if (!restic::repo::plausible_plain_size(size, plain.size())) std::abort();
    if (!restic::repo::decompress_into({data, size}, plain)) std::abort();
  } catch (const restic::Error& error) {
    if (error.code() != restic::Errc::Damaged) std::abort();
  }
  return 0;
}
