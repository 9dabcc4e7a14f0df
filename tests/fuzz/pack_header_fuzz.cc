// SPDX-License-Identifier: MIT
// A header of any bytes, sealed with the right key, decodes or fails as Damaged; what decodes encodes to the
// same blobs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "repo/pack_header.h"

namespace {

const restic::repo::Crypto& some_crypto() {
  static const restic::repo::Crypto kCrypto = [] {
    restic::repo::RawKey key;
    key.encrypt.fill(1);
    key.mac_k.fill(2);
    key.mac_r.fill(3);
    return restic::repo::Crypto(key);
  }();
  return kCrypto;
}

}  // namespace

// The first 4 bytes are how many bytes of blobs the pack has, the rest is the header in plain.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  std::uint64_t pack_size = 0;
  for (int i = 0; i < 4; ++i) pack_size = (pack_size << 8U) | data[i];
  restic::Bytes tail;
  some_crypto().seal({data + 4, size - 4}, tail);
  const std::size_t sealed = tail.size();
  for (unsigned shift = 0; shift < 32; shift += 8) tail.push_back(static_cast<std::uint8_t>(sealed >> shift));
  pack_size += tail.size();
  try {
    const auto blobs = restic::repo::decode_pack_tail(some_crypto(), tail, pack_size, "pack");
    if (restic::repo::encode_pack_tail(some_crypto(), blobs).size() != tail.size()) std::abort();
  } catch (const restic::Error& error) {
    if (error.code() != restic::Errc::Damaged) std::abort();
  }
  return 0;
}
