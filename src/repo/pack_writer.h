// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "repo/buffer_cache.h"
#include "repo/crypto.h"
#include "repo/index.h"
#include "repo/memory_budget.h"

namespace restic::repo {

// A pack whose blobs are all in place; header and name are still missing.
struct FilledPack {
  Bytes content;
  std::shared_ptr<BufferCache> buffers;  // where `content` goes after use; null: nowhere
  std::vector<PackedBlob> blobs;         // in pack order
  BudgetShare charged;                   // for `content`
};

// A finished pack file, to be saved under the SHA-256 of it all.
struct FinishedPack {
  SharedBytes content;
  PackEntry entry;
  BudgetShare charged;
};

// Adds header and trailer; leaves `entry.pack`, the pack's name, to the caller. CPU work; thread-safe.
FinishedPack finish_pack(FilledPack pack, const Crypto& crypto);

// Lays out blobs of one kind in packs as restic does (FORMAT: pack files): a pack is full with the blob that
// takes it to the target size, a blob that large by itself gets a pack of its own, and a header stays below
// restic's limit. Room is given out under a short lock and filled by its taker outside of it, so that any
// number of threads seal into one pack at once, each blob to its final place. Thread-safe; never blocks. Must
// not be destroyed while room that it gave out is unfilled.
class PackWriter {
 public:
  static constexpr std::size_t kTargetSize = 16U << 20U;

  // `filled` is called outside any lock by the thread that fills the last blob of a full or closed pack.
  using Filled = std::function<void(FilledPack)>;
  PackWriter(MemoryBudget& budget, Filled filled, std::size_t target_size = kTargetSize);
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;

  // Calls `write` once with `length` bytes to fill completely; it must not throw. `uncompressed_length` is 0
  // for a blob that is stored as it is. The room is charged to the budget.
  using Write = std::function<void(std::span<std::uint8_t> room)>;
  void add(const BlobKey& key, std::uint32_t length, std::uint32_t uncompressed_length, const Write& write);

  // Ends the open pack however small it is. No effect on an empty one.
  void close();

 private:
  struct OpenPack;
  using OpenPackPtr = std::shared_ptr<OpenPack>;

  std::span<std::uint8_t> take_room(OpenPack& pack, const PackedBlob& blob);
  void leave(const OpenPackPtr& pack);

  MemoryBudget& budget_;
  const Filled filled_;
  const std::size_t target_size_;
  const std::shared_ptr<BufferCache> buffers_;
  std::mutex mutex_;
  OpenPackPtr open_;  // guarded by mutex_
};

}  // namespace restic::repo
