// SPDX-License-Identifier: MIT
#include "repo/sealed_file.h"

#include <utility>

#include "base/error.h"
#include "repo/compression.h"
#include "repo/id.h"

namespace restic::repo {
namespace {

constexpr std::uint8_t kCompressedFrame = 0x02;

bool is_framed(unsigned version, transport::FileType type) {
  return version >= 2 && type != transport::FileType::Config;
}

}  // namespace

Bytes open_sealed_file(const Crypto& crypto, unsigned version, const transport::FileName& file,
                       Bytes stored) {
  Bytes json;
  open_sealed_file(crypto, version, file, std::move(stored), json);
  return json;
}

void open_sealed_file(const Crypto& crypto, unsigned version, const transport::FileName& file, Bytes stored,
                      Bytes& json) {
  const std::string what = file.path();
  if (file.type != transport::FileType::Config && Id::of(stored).hex() != file.name) {
    throw Error(Errc::Damaged, what + ": its content does not match its name");
  }
  if (stored.size() < kSealOverhead) throw Error(Errc::Damaged, what + ": too short to be sealed data");
  ByteView plain;
  if (!crypto.open_in_place(stored, plain)) {
    throw Error(Errc::Damaged, what + ": does not open with the repository's key, it is damaged");
  }
  if (is_framed(version, file.type) && !plain.empty() && plain.front() != '{' && plain.front() != '[') {
    if (plain.front() != kCompressedFrame) throw Error(Errc::Damaged, what + ": has an unknown encoding");
    const bool large = file.type == transport::FileType::Index;
    return decompress(plain.subspan(1), large ? kMaxSealedFile : kMaxSmallSealedFile, what, json);
  }
  json.assign(plain.begin(), plain.end());
}

Bytes seal_file(const Crypto& crypto, unsigned version, transport::FileType type, std::string_view json) {
  Bytes sealed;
  if (!is_framed(version, type)) {
    crypto.seal(as_bytes(json), sealed);
    return sealed;
  }
  Bytes framed{kCompressedFrame};
  compress(as_bytes(json), framed);
  crypto.seal(framed, sealed);
  return sealed;
}

}  // namespace restic::repo
