// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>

#include "base/bytes.h"

namespace restic::repo {

// zstd as restic stores it (FORMAT: pack files). Thread-safe: each thread keeps its own contexts. What a
// frame says about itself is never trusted with memory.

// Decodes frames whose plain length is known into exactly `plain`. False: not valid zstd, or another length.
[[nodiscard]] bool decompress_into(ByteView frames, std::span<std::uint8_t> plain);

// False when no frame of `compressed` bytes can decode to `plain` bytes: asked before memory for them is
// taken on the word of an index.
bool plausible_plain_size(std::size_t compressed, std::size_t plain);

// Decodes frames of unknown plain length. Throws Error{Damaged} that begins with `what`: not valid zstd, or
// more than `limit` bytes.
Bytes decompress(ByteView frames, std::size_t limit, const std::string& what);
// The same, replacing the content of `plain`, whose memory is used again where it suffices.
void decompress(ByteView frames, std::size_t limit, const std::string& what, Bytes& plain);

// Appends one frame that every restic since 0.14 reads: content size present, no checksum, window at most 512
// KiB. `level` is zstd's; 3 matches restic's "auto", 15 its "max".
inline constexpr int kDefaultCompressionLevel = 3;
void compress(ByteView plain, Bytes& out, int level = kDefaultCompressionLevel);

}  // namespace restic::repo
