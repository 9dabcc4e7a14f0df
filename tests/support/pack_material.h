// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "repo/compact_index.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/index.h"
#include "support/fake_backend.h"

namespace restic::test {

// Fills packs with blobs and puts them into a backend, as a repository of version 2 would have them.
class PackMaker {
 public:
  PackMaker(FakeBackend& backend, const repo::Crypto& crypto) : backend_(backend), crypto_(crypto) {}

  // Appends a blob to the open pack and returns its key.
  repo::BlobKey add(ByteView content, repo::BlobType type = repo::BlobType::Data, bool compressed = true);
  // A blob of incompressible content made of `number`.
  repo::BlobKey add_numbered(std::uint32_t number, std::size_t size, bool compressed = false);
  // Ends the open pack, stores it and returns its name.
  repo::Id close();

  // An index of every pack closed so far; may be changed by the test before.
  std::vector<repo::PackEntry>& packs() { return packs_; }
  std::shared_ptr<const repo::CompactIndex> index(repo::CpuPool& pool) const;

 private:
  FakeBackend& backend_;
  const repo::Crypto& crypto_;
  Bytes open_;
  std::vector<repo::PackedBlob> blobs_;
  std::vector<repo::PackEntry> packs_;
};

// The content of PackMaker::add_numbered.
Bytes numbered_content(std::uint32_t number, std::size_t size);

transport::FileName pack_file(const repo::Id& pack);

}  // namespace restic::test
