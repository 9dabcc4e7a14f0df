// SPDX-License-Identifier: MIT
// Any bytes decode as a key file or fail as Damaged; what decodes is within the limits on scrypt's cost.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "repo/key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const restic::repo::KeyFile key_file = restic::repo::decode_key_file({data, size}, "key");
    const restic::repo::KdfParameters& kdf = key_file.kdf;
    if (kdf.n * kdf.r > restic::repo::kMaxKdfMemory / 128) std::abort();
    if (kdf.n * kdf.r * kdf.p > restic::repo::kMaxKdfWork) std::abort();
    const std::string text = restic::repo::encode_key_file(key_file);
    if (restic::repo::decode_key_file(restic::as_bytes(text), "key").data != key_file.data) std::abort();
  } catch (const restic::Error& error) {
    if (error.code() != restic::Errc::Damaged) std::abort();
  }
  return 0;
}
