// SPDX-License-Identifier: MIT
#include "support/index_material.h"

#include "repo/index_file.h"
#include "repo/sealed_file.h"

namespace restic::test {

repo::Id numbered_id(std::uint64_t number) {
  const std::string text = std::to_string(number);
  return repo::Id::of(as_bytes(text));
}

repo::RawKey test_key() {
  repo::RawKey key;
  key.encrypt.fill(1);
  key.mac_k.fill(2);
  key.mac_r.fill(3);
  return key;
}

repo::PackedBlob packed(std::uint64_t number, std::uint32_t offset, std::uint32_t length, repo::BlobType type,
                        std::uint32_t uncompressed_length) {
  return {.key = {.type = type, .id = numbered_id(number)},
          .offset = offset,
          .length = length,
          .uncompressed_length = uncompressed_length};
}

std::vector<repo::PackEntry> random_packs(std::mt19937_64& random, std::uint64_t first, std::size_t packs,
                                          std::size_t blobs) {
  std::vector<repo::PackEntry> result;
  for (std::size_t i = 0; i < packs; ++i) {
    repo::PackEntry pack{.pack = numbered_id(~(first + i)), .blobs = {}};
    std::uint32_t offset = 0;
    for (std::size_t j = 0; j < blobs; ++j) {
      const auto length = static_cast<std::uint32_t>(32 + random() % 4000);
      const auto type = random() % 4 == 0 ? repo::BlobType::Tree : repo::BlobType::Data;
      const auto uncompressed = static_cast<std::uint32_t>(random() % 2 == 0 ? 0 : 1 + random() % 9000);
      pack.blobs.push_back(packed(first + i * blobs + j, offset, length, type, uncompressed));
      offset += length;
    }
    result.push_back(std::move(pack));
  }
  return result;
}

repo::Id put_index_json(FakeBackend& backend, const repo::Crypto& crypto, const std::string& json) {
  Bytes stored = repo::seal_file(crypto, 2, transport::FileType::Index, json);
  const repo::Id id = repo::Id::of(stored);
  backend.put({.type = transport::FileType::Index, .name = id.hex()}, std::move(stored));
  return id;
}

repo::Id put_index(FakeBackend& backend, const repo::Crypto& crypto,
                   const std::vector<repo::PackEntry>& packs) {
  return put_index_json(backend, crypto, repo::encode_index_file(packs));
}

}  // namespace restic::test
