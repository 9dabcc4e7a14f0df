// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/index.h"
#include "repo/index_segment.h"

namespace restic::repo {

// Reads the JSON of index files (FORMAT: index). An index file is taken as a whole or not at all: its bytes
// are authenticated, so one impossible entry means a broken writer, and nothing else that it says can be
// trusted to be complete. Unknown members and `supersedes` are ignored, `packs` and `blobs` may be null or
// missing, the bare array of packs that restic 0.1 wrote is understood. Keeps its buffers from file to file;
// not thread-safe, one a thread.
class IndexFileParser {
 public:
  IndexFileParser();
  ~IndexFileParser();
  IndexFileParser(IndexFileParser&&) noexcept;
  IndexFileParser& operator=(IndexFileParser&&) noexcept;

  // `json` may be enlarged in capacity, its content stays. Throws, naming the file, Error{Damaged}: not JSON,
  // members of a wrong type, numbers out of range, unknown blob type, zero pack id, blobs of one pack that
  // overlap; and Error{Unsupported}: compressed blobs in a repository of version 1.
  IndexSegmentPtr parse(const Id& file, Bytes& json, unsigned repository_version);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The JSON of an index file as restic writes it, newline at the end included.
std::string encode_index_file(std::span<const PackEntry> packs);

}  // namespace restic::repo
