// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "base/bytes.h"
#include "transport/content.h"

namespace restic::test {

// All of a content, in one buffer. Throws what its reader throws.
inline Bytes bytes_of(const transport::Content& content) {
  Bytes all;
  const std::unique_ptr<transport::Content::Reader> reader = content.read();
  for (ByteView piece = reader->next(SIZE_MAX); !piece.empty(); piece = reader->next(SIZE_MAX)) {
    all.insert(all.end(), piece.begin(), piece.end());
  }
  return all;
}

}  // namespace restic::test
