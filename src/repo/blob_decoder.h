// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "repo/blob.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/hash_desk.h"
#include "repo/index.h"

namespace restic::repo {

// The most plain bytes a blob may have. restic cuts data at 8 MiB and leaves trees unbounded; a folder of a
// million entries has some 400 MB.
std::uint64_t max_plain_size(BlobType type);

// Why what an index says of a blob cannot be true, or nothing. Asked before memory is taken on its word.
std::optional<Error> implausible(const PackedBlob& blob);

// A blob as it lies in its pack.
struct SealedBlob {
  PackedBlob blob;
  std::span<std::uint8_t> sealed;
};

// Opens, decompresses and verifies sealed blobs (FORMAT: pack files): MAC, AES-256-CTR, zstd to exactly the
// size that the index says, SHA-256 equal to the id. Thread-safe; CPU work only.
class BlobDecoder {
 public:
  // Both must outlive the decoder, and the decoder every call of an OnDecoded.
  BlobDecoder(const Crypto& crypto, CpuPool& pool) : crypto_(crypto), pool_(pool) {}

  // All blobs lie in `buffer` and are decrypted in place. One that takes most of the buffer is given out as
  // part of it, if its content can be; others get memory of their own, so that a small blob does not keep a
  // large range. `done` is called once for each: for small ones a few at a time, which are hashed together,
  // for large data perhaps later, by another thread that hashes it beside its own, or while this one opens
  // it. It must not throw. An error is Damaged and says what failed, or Io where there is no memory for it.
  using OnDecoded = std::function<void(std::size_t position, Result<BlobPtr> blob)>;
  void decode(std::span<const SealedBlob> blobs, const std::shared_ptr<Bytes>& buffer, const OnDecoded& done);

 private:
  void decode_large(std::size_t position, const SealedBlob& item, const std::shared_ptr<Bytes>& buffer,
                    const OnDecoded& done);

  const Crypto& crypto_;
  CpuPool& pool_;
  HashDesk desk_;
};

}  // namespace restic::repo
