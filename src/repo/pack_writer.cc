// SPDX-License-Identifier: MIT
#include "repo/pack_writer.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/error.h"
#include "repo/pack_header.h"

namespace restic::repo {
namespace {

// Beyond the target: the largest data blob, its overhead and a header for a few thousand blobs. Untouched
// memory costs nothing.
constexpr std::size_t kBeyondTarget = (8U << 20U) + (256U << 10U);

// Ends a pack's content by keeping its memory for the next one.
struct GiveBack {
  std::shared_ptr<BufferCache> buffers;
  void operator()(Bytes* content) const {
    if (buffers) buffers->give_back(std::move(*content));
    delete content;
  }
};

}  // namespace

// Its holders are the writer, while it is open, and everybody who is filling room in it; the last to leave
// hands it on.
struct PackWriter::OpenPack {
  FilledPack pack;
  std::size_t used = 0;
  std::size_t header = 0;              // bytes, plain
  std::atomic<std::size_t> inside{1};  // the writer itself counts as one until it closes the pack
};

FinishedPack finish_pack(FilledPack pack, const Crypto& crypto) {
  const Bytes tail = encode_pack_tail(crypto, pack.blobs);
  pack.content.insert(pack.content.end(), tail.begin(), tail.end());
  FinishedPack finished;
  finished.entry.blobs = std::move(pack.blobs);
  finished.content = SharedBytes(new Bytes(std::move(pack.content)), GiveBack{std::move(pack.buffers)});
  finished.charged = std::move(pack.charged);
  return finished;
}

PackWriter::PackWriter(MemoryBudget& budget, Filled filled, std::size_t target_size)
    : budget_(budget),
      filled_(std::move(filled)),
      target_size_(target_size),
      buffers_(std::make_shared<BufferCache>(target_size + kBeyondTarget)) {}

PackWriter::~PackWriter() {
  if (open_) budget_.release(open_->used);
}

void PackWriter::add(const BlobKey& key, std::uint32_t length, std::uint32_t uncompressed_length,
                     const Write& write) {
  const PackedBlob blob{key, 0, length, uncompressed_length};
  OpenPackPtr pack;
  std::vector<OpenPackPtr> closed;
  std::span<std::uint8_t> room;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t entry = header_entry_size(uncompressed_length != 0);
    if (length >= target_size_) {
      pack = std::make_shared<OpenPack>();
      pack->pack.content.resize(length);
      closed.push_back(pack);
    } else {
      if (open_ &&
          (open_->used + length > open_->pack.content.size() || !header_fits(open_->header + entry))) {
        closed.push_back(std::exchange(open_, nullptr));
      }
      if (!open_) {
        open_ = std::make_shared<OpenPack>();
        open_->pack.content = buffers_->take();
        open_->pack.buffers = buffers_;
      }
      pack = open_;
    }
    room = take_room(*pack, blob);
    if (pack == open_ && pack->used >= target_size_) closed.push_back(std::exchange(open_, nullptr));
  }
  write(room);
  leave(pack);
  for (const OpenPackPtr& full : closed) leave(full);
}

void PackWriter::close() {
  OpenPackPtr closed;
  {
    const std::lock_guard lock(mutex_);
    closed = std::exchange(open_, nullptr);
  }
  if (closed) leave(closed);
}

std::span<std::uint8_t> PackWriter::take_room(OpenPack& pack, const PackedBlob& blob) {
  budget_.charge(blob.length);
  PackedBlob placed = blob;
  placed.offset = static_cast<std::uint32_t>(pack.used);
  pack.pack.blobs.push_back(placed);
  pack.used += blob.length;
  pack.header += header_entry_size(blob.uncompressed_length != 0);
  pack.inside.fetch_add(1, std::memory_order_relaxed);
  return std::span(pack.pack.content).subspan(placed.offset, blob.length);
}

void PackWriter::leave(const OpenPackPtr& pack) {
  if (pack->inside.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  pack->pack.content.resize(pack->used);
  pack->pack.charged = BudgetShare(budget_, pack->used);
  // A pack ends its way about when the next one begins, if nothing holds it up.
  buffers_->keep_one(budget_.is_ample());
  filled_(std::move(pack->pack));
}

}  // namespace restic::repo
