// SPDX-License-Identifier: MIT
#include "repo/blob_decoder.h"

#include <cstring>
#include <string>
#include <utility>

#include "repo/compression.h"

namespace restic::repo {
namespace {

Error damaged(const char* what) { return {Errc::Damaged, what}; }

BlobPtr owned(std::shared_ptr<const Bytes> bytes) {
  const ByteView view(*bytes);
  const std::size_t charged = bytes->capacity();
  return std::make_shared<const Blob>(Blob{std::move(bytes), view, charged});
}

Result<BlobPtr> open_and_verify(const Crypto& crypto, const PackedBlob& blob, std::span<std::uint8_t> sealed,
                                const std::shared_ptr<Bytes>& buffer) {
  ByteView plain;
  if (!crypto.open_in_place(sealed, plain)) return damaged("its MAC is wrong");
  if (blob.uncompressed_length == 0 && plain.size() >= buffer->capacity() / 4 * 3) {
    if (Id::of(plain) != blob.key.id) return damaged("its content is not what its id says");
    return std::make_shared<const Blob>(Blob{buffer, plain, buffer->capacity()});
  }
  auto bytes = std::make_shared<Bytes>();
  bytes->resize(blob.plain_size());
  if (blob.uncompressed_length != 0) {
    if (!decompress_into(plain, *bytes)) return damaged("it cannot be decompressed");
  } else if (!plain.empty()) {
    std::memcpy(bytes->data(), plain.data(), plain.size());
  }
  if (Id::of(*bytes) != blob.key.id) return damaged("its content is not what its id says");
  return owned(std::move(bytes));
}

}  // namespace

std::uint64_t max_plain_size(BlobType type) { return type == BlobType::Data ? 64ULL << 20U : 1ULL << 30U; }

std::optional<Error> implausible(const PackedBlob& blob) {
  if (blob.length < kSealOverhead) return damaged("its index entry is too short");
  const std::uint64_t most = max_plain_size(blob.key.type);
  // zstd may grow what it cannot compress, by less than this.
  if (blob.plain_size() > most || blob.length > most + most / 128 + 1024) {
    return damaged("its index entry claims more than a blob may have");
  }
  const std::size_t compressed = blob.length - kSealOverhead;
  if (blob.uncompressed_length != 0 && !plausible_plain_size(compressed, blob.uncompressed_length)) {
    return damaged("its index entry claims more than it can decompress to");
  }
  return std::nullopt;
}

Result<BlobPtr> decode_blob(const Crypto& crypto, const PackedBlob& blob, std::span<std::uint8_t> sealed,
                            const std::shared_ptr<Bytes>& buffer) {
  try {
    return open_and_verify(crypto, blob, sealed, buffer);
  } catch (const Error& error) {
    return error;
  } catch (const std::exception&) {
    return Error(Errc::Io, "there is no memory for its " + std::to_string(blob.plain_size()) + " bytes");
  }
}

}  // namespace restic::repo
