// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "repo/crypto.h"
#include "repo/index.h"
#include "support/fake_backend.h"

namespace restic::test {

// An id made of a number, spread like a hash: for tests that do not care which.
repo::Id numbered_id(std::uint64_t number);

// A master key for tests.
repo::RawKey test_key();

// A blob at a place; `number` makes its id.
repo::PackedBlob packed(std::uint64_t number, std::uint32_t offset, std::uint32_t length,
                        repo::BlobType type = repo::BlobType::Data, std::uint32_t uncompressed_length = 0);

// `packs` packs of `blobs` blobs each, contiguous, of random lengths; all ids are different for different
// `first` numbers that lie far enough apart.
std::vector<repo::PackEntry> random_packs(std::mt19937_64& random, std::uint64_t first, std::size_t packs,
                                          std::size_t blobs);

// Seals the JSON as an index file of a version 2 repository, puts it into the backend and returns its name.
repo::Id put_index_json(FakeBackend& backend, const repo::Crypto& crypto, const std::string& json);
repo::Id put_index(FakeBackend& backend, const repo::Crypto& crypto,
                   const std::vector<repo::PackEntry>& packs);

}  // namespace restic::test
