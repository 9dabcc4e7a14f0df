// SPDX-License-Identifier: MIT
#include "support/pack_material.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "repo/compression.h"
#include "repo/index_segment.h"
#include "support/index_material.h"

namespace restic::test {

repo::BlobKey PackMaker::add(ByteView content, repo::BlobType type, bool compressed) {
  const repo::BlobKey key{type, repo::Id::of(content)};
  Bytes stored(content.begin(), content.end());
  if (compressed) {
    stored.clear();
    repo::compress(content, stored);
  }
  const std::size_t begin = open_.size();
  crypto_.seal(stored, open_);
  blobs_.push_back({key, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(open_.size() - begin),
                    compressed ? static_cast<std::uint32_t>(content.size()) : 0});
  return key;
}

repo::BlobKey PackMaker::add_numbered(std::uint32_t number, std::size_t size, bool compressed) {
  return add(numbered_content(number, size), repo::BlobType::Data, compressed);
}

repo::Id PackMaker::close() {
  const repo::Id name = repo::Id::of(open_);
  backend_.put(pack_file(name), std::exchange(open_, {}));
  packs_.push_back({name, std::exchange(blobs_, {})});
  return name;
}

std::shared_ptr<const repo::CompactIndex> PackMaker::index(repo::CpuPool& pool) const {
  repo::IndexSegmentBuilder builder;
  for (const repo::PackEntry& pack : packs_) {
    builder.begin_pack();
    for (const repo::PackedBlob& blob : pack.blobs) {
      builder.add_blob({blob.key.id, blob.key.type, blob.offset, blob.length, blob.uncompressed_length});
    }
    builder.end_pack(pack.pack);
  }
  std::vector<repo::IndexSegmentPtr> segments{builder.finish(numbered_id(packs_.size()))};
  return std::make_shared<const repo::CompactIndex>(std::move(segments),
                                                    std::vector<repo::UnreadableIndexFile>{}, pool);
}

Bytes numbered_content(std::uint32_t number, std::size_t size) {
  std::mt19937_64 random(number);
  Bytes content(size);
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t piece = random();
    std::memcpy(content.data() + at, &piece, std::min(sizeof piece, size - at));
  }
  return content;
}

transport::FileName pack_file(const repo::Id& pack) { return {transport::FileType::Pack, pack.hex()}; }

}  // namespace restic::test
