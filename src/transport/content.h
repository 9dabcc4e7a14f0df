// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace restic::transport {

// What a file is going to contain, wherever that is kept until it is saved. Thread-safe.
class Content {
 public:
  // The bytes from first to last, for one attempt to save them. Not thread-safe; must not outlive the
  // content.
  class Reader {
   public:
    virtual ~Reader() = default;
    // The next bytes, at most `most` of them; empty at the end, which is after size() bytes. Valid until the
    // next call. Blocks on the local disk at most. Throws Error before the last byte when they are not what
    // they were.
    virtual ByteView next(std::size_t most) = 0;
  };

  virtual ~Content() = default;
  virtual std::uint64_t size() const = 0;
  virtual std::unique_ptr<Reader> read() const = 0;
};
using SharedContent = std::shared_ptr<const Content>;

SharedContent in_memory(SharedBytes bytes);
// False also when it cannot be read.
bool equals(const Content& content, ByteView bytes) noexcept;

}  // namespace restic::transport
