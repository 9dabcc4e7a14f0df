// SPDX-License-Identifier: MIT
#include "repo/blob_decoder.h"

#include <array>
#include <cstring>
#include <optional>
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

// The plaintext, not verified yet.
Result<BlobPtr> open(const Crypto& crypto, const SealedBlob& item, const std::shared_ptr<Bytes>& buffer) {
  const PackedBlob& blob = item.blob;
  ByteView plain;
  if (!crypto.open_in_place(item.sealed, plain)) return damaged("its MAC is wrong");
  if (blob.uncompressed_length == 0 && plain.size() >= buffer->capacity() / 4 * 3) {
    return std::make_shared<const Blob>(Blob{buffer, plain, buffer->capacity()});
  }
  auto bytes = std::make_shared<Bytes>();
  bytes->resize(blob.plain_size());
  if (blob.uncompressed_length != 0) {
    if (!decompress_into(plain, *bytes)) return damaged("it cannot be decompressed");
  } else if (!plain.empty()) {
    std::memcpy(bytes->data(), plain.data(), plain.size());
  }
  return owned(std::move(bytes));
}

Result<BlobPtr> try_open(const Crypto& crypto, const SealedBlob& item, const std::shared_ptr<Bytes>& buffer) {
  try {
    return open(crypto, item, buffer);
  } catch (const Error& error) {
    return error;
  } catch (const std::exception&) {
    return Error(Errc::Io, "there is no memory for its " + std::to_string(item.blob.plain_size()) + " bytes");
  }
}

Result<BlobPtr> verified(Result<BlobPtr> opened, const Id& actual, const PackedBlob& blob) {
  if (opened.ok() && actual != blob.key.id) return damaged("its content is not what its id says");
  return opened;
}

// Small blobs that are hashed together: not many, so that the first does not wait long for the last.
class Group {
 public:
  // Passes on those that are full.
  void add(std::size_t position, const SealedBlob& blob, Result<BlobPtr> opened, const OnDecoded& done) {
    bytes_ += opened.ok() ? opened.value()->bytes.size() : 0;
    members_[count_++].emplace(Member{position, &blob.blob, std::move(opened)});
    if (count_ == kMost || bytes_ >= kEnough) pass_on(done);
  }

  void pass_on(const OnDecoded& done) {
    if (count_ == 0) return;
    std::array<ByteView, kMost> contents;
    std::array<Id, kMost> ids;
    for (std::size_t i = 0; i < count_; ++i) {
      if (members_[i]->opened.ok()) contents[i] = members_[i]->opened.value()->bytes;
    }
    ids_of(std::span(contents).first(count_), ids);
    for (std::size_t i = 0; i < count_; ++i) {
      Member& member = *members_[i];
      done(member.position, verified(std::move(member.opened), ids[i], *member.blob));
    }
    count_ = 0;
    bytes_ = 0;
  }

 private:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kEnough = 128U << 10U;

  struct Member {
    std::size_t position;
    const PackedBlob* blob;
    Result<BlobPtr> opened;
  };
  std::array<std::optional<Member>, kMost> members_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

// From here on a blob is worth the way to the desk.
constexpr std::size_t kLarge = 64U << 10U;

void decode_large(const Crypto& crypto, HashDesk& desk, std::size_t position, const SealedBlob& item,
                  const std::shared_ptr<Bytes>& buffer, const OnDecoded& done) {
  HashDesk::Visit visit(desk);
  Result<BlobPtr> opened = try_open(crypto, item, buffer);
  if (!opened.ok()) return done(position, std::move(opened));
  const ByteView content = opened.value()->bytes;
  visit.bring({content, [position, blob = item.blob, opened = std::move(opened), done](const Id& actual) {
                 done(position, verified(opened, actual, blob));
               }});
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

void decode_blobs(const Crypto& crypto, HashDesk& desk, std::span<const SealedBlob> blobs,
                  const std::shared_ptr<Bytes>& buffer, const OnDecoded& done) {
  Group group;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    // Not trees: whoever waits for one works on it at once, and would keep others waiting at the desk.
    if (blobs[i].blob.plain_size() >= kLarge && blobs[i].blob.key.type == BlobType::Data) {
      group.pass_on(done);
      decode_large(crypto, desk, i, blobs[i], buffer, done);
    } else {
      group.add(i, blobs[i], try_open(crypto, blobs[i], buffer), done);
    }
  }
  group.pass_on(done);
}

}  // namespace restic::repo
