// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "repo/crypto.h"
#include "transport/backend.h"

namespace restic::repo {

// The most an "unpacked" file's JSON may have, decompressed, and the most to load of one. restic sets no
// limit; its largest, an index of one pack full of tiny blobs, has about 70 MB.
inline constexpr std::size_t kMaxSealedFile = 512U << 20U;
// The same for snapshots, locks and the config, which have a few kilobytes.
inline constexpr std::size_t kMaxSmallSealedFile = 64U << 20U;

// Config, index, snapshot and lock files are JSON, sealed with the master key; in a repository of version 2
// all but the config are compressed behind one framing byte (FORMAT: "unpacked" files).

// `stored` as it was loaded, to its JSON: checks its SHA-256 against the file's name (config has none), opens
// it and decompresses it. Throws Error{Damaged} that begins with file.path(). CPU work only; thread-safe.
Bytes open_sealed_file(const Crypto& crypto, unsigned version, const transport::FileName& file, Bytes stored);
// The same, replacing the content of `json`, whose memory is used again where it suffices.
void open_sealed_file(const Crypto& crypto, unsigned version, const transport::FileName& file, Bytes stored,
                      Bytes& json);

// The bytes to store for a JSON; the name to store them under is their Id::of (config: "").
Bytes seal_file(const Crypto& crypto, unsigned version, transport::FileType type, std::string_view json);

}  // namespace restic::repo
