// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "repo/blob.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/hash_desk.h"
#include "repo/index.h"
#include "repo/trailing_hash.h"

namespace restic::repo {

// The most plain bytes a blob may have. restic cuts data at 8 MiB and leaves trees unbounded; a folder of a
// million entries has some 400 MB.
std::uint64_t max_plain_size(BlobType type);

// Why what an index says of a blob cannot be true, or nothing. Asked before memory is taken on its word.
std::optional<Error> implausible(const PackedBlob& blob);

// A blob as it lies in its pack.
struct SealedBlob {
  PackedBlob blob;
  std::span<std::uint8_t> sealed;
};

// Opens, decompresses and verifies sealed blobs (FORMAT: pack files): MAC, AES-256-CTR, zstd to exactly the
// size that the index says, SHA-256 equal to the id. Thread-safe; CPU work only. An error is Damaged and says
// what failed, or Io where there is no memory.
class BlobDecoder {
 public:
  // Both must outlive the decoder, and the decoder every call of what it was given to call.
  BlobDecoder(const Crypto& crypto, CpuPool& pool) : crypto_(crypto), pool_(pool) {}

  // All blobs lie in `buffer` and are decrypted in place. One that takes most of the buffer is given out as
  // part of it, if its content can be; others get memory of their own, so that a small blob does not keep a
  // large range. `done` is called once for each: for small ones a few at a time, which are hashed together,
  // for large data perhaps later, by another thread that hashes it beside its own, or while this one opens
  // it. It must not throw.
  using OnDecoded = std::function<void(std::size_t position, Result<BlobPtr> blob)>;
  void decode(std::span<const SealedBlob> blobs, const std::shared_ptr<Bytes>& buffer, const OnDecoded& done);

  // A blob for which an Opening is worth its while.
  static bool is_large(const PackedBlob& blob);
  class Opening;

 private:
  const Crypto& crypto_;
  CpuPool& pool_;
  HashDesk desk_;
};

// Decodes one large blob by itself, while it is still arriving or when it is there. Used by one thread at a
// time, which may give it up. Where no other is being decoded, the pool hashes what is in place already.
class BlobDecoder::Opening {
 public:
  enum class State { Arriving, There };
  // `item.sealed` is where the sealed blob is, or is going to be. `done` is called once, by finish() or
  // later; it keeps the decoder alive and must not throw.
  using Done = std::function<void(Result<BlobPtr> blob)>;
  Opening(BlobDecoder& decoder, const SealedBlob& item, State state, Done done);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  // The first `arrived` bytes are there. Throws std::bad_alloc or Error{Io}.
  void go_on(std::size_t arrived);
  // All of it is there, in `buffer`, which may be given out. The last call.
  void finish(const std::shared_ptr<Bytes>& buffer);

 private:
  class Copy;
  void let_follow();
  void end_following() noexcept;
  Result<BlobPtr> open_rest(const std::shared_ptr<Bytes>& buffer);

  BlobDecoder& decoder_;
  const SealedBlob item_;
  const Done done_;
  std::optional<HashDesk::Visit> visit_;        // of one that is there
  std::optional<HashDesk::Outsider> outsider_;  // for one that is arriving
  Crypto::Opener opener_;
  std::size_t arrived_ = 0;
  std::unique_ptr<Copy> copy_;           // with `trail_`, or neither
  std::shared_ptr<TrailingHash> trail_;  // hashes the copy
};

}  // namespace restic::repo
