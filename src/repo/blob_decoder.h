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
// size that the index says, SHA-256 equal to the id. All lie in `buffer` and are decrypted in place. A blob
// that takes most of the buffer is given out as part of it; others get memory of their own, so that a small
// blob does not keep a large range. `done` is called once for each: for small ones a few at a time, which are
// hashed together, for large data perhaps later, by another thread that hashes it at `desk` beside its own.
// `done` must not throw. CPU work only. An error is Damaged and says which of these failed, or Io where there
// is no memory for it.
using OnDecoded = std::function<void(std::size_t position, Result<BlobPtr> blob)>;
void decode_blobs(const Crypto& crypto, HashDesk& desk, std::span<const SealedBlob> blobs,
                  const std::shared_ptr<Bytes>& buffer, const OnDecoded& done);

}  // namespace restic::repo
