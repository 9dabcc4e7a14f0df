// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "repo/blob.h"
#include "repo/crypto.h"
#include "repo/index.h"

namespace restic::repo {

// The most plain bytes a blob may have. restic cuts data at 8 MiB and leaves trees unbounded; a folder of a
// million entries has some 400 MB.
std::uint64_t max_plain_size(BlobType type);

// Why what an index says of a blob cannot be true, or nothing. Asked before memory is taken on its word.
std::optional<Error> implausible(const PackedBlob& blob);

// Opens, decompresses and verifies one sealed blob (FORMAT: pack files): MAC, AES-256-CTR, zstd to exactly
// the size that the index says, SHA-256 equal to the id. `sealed` lies in `buffer` and is decrypted in place.
// A blob that takes most of the buffer is given out as part of it; others get memory of their own, so that a
// small blob does not keep a large range. CPU work only. Error is Damaged and says which of these failed, or
// Io where there is no memory for it.
Result<BlobPtr> decode_blob(const Crypto& crypto, const PackedBlob& blob, std::span<std::uint8_t> sealed,
                            const std::shared_ptr<Bytes>& buffer);

}  // namespace restic::repo
