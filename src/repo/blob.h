// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "base/bytes.h"

namespace restic::repo {

// The verified plaintext of a blob, pinned for as long as somebody holds it. `owner` may be larger than
// `bytes` (a blob decrypted in place within the range it was fetched in); `charged` is what keeping it costs
// in memory.
struct Blob {
  std::shared_ptr<const void> owner;
  ByteView bytes;
  std::size_t charged = 0;
};
using BlobPtr = std::shared_ptr<const Blob>;

}  // namespace restic::repo
