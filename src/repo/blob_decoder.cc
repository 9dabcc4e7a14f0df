// SPDX-License-Identifier: MIT
#include "repo/blob_decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "repo/compression.h"
#include "repo/stored_blocks.h"

namespace restic::repo {
namespace {

Error damaged(const char* what) { return {Errc::Damaged, what}; }

BlobPtr owned(std::shared_ptr<const Bytes> bytes) {
  const ByteView view(*bytes);
  const std::size_t charged = bytes->capacity();
  return std::make_shared<const Blob>(Blob{std::move(bytes), view, charged});
}

Error wrong_mac() { return damaged("its MAC is wrong"); }

// Where the blob's bytes are when it has been opened.
std::span<std::uint8_t> inside(const SealedBlob& item) {
  if (item.sealed.size() < kSealOverhead) return {};  // and does not open
  return item.sealed.subspan(kIvSize, item.sealed.size() - kSealOverhead);
}

// What the opened bytes of a blob stand for. Not verified yet. Throws std::bad_alloc.
Result<BlobPtr> expand(const SealedBlob& item, const std::shared_ptr<Bytes>& buffer) {
  const PackedBlob& blob = item.blob;
  const std::span<std::uint8_t> opened = inside(item);
  const bool compressed = blob.uncompressed_length != 0;
  if (opened.size() >= buffer->capacity() / 4 * 3) {
    std::optional<ByteView> in_place = opened;
    if (compressed) in_place = join_stored_blocks(opened, blob.plain_size());
    if (in_place) return std::make_shared<const Blob>(Blob{buffer, *in_place, buffer->capacity()});
  }
  auto bytes = std::make_shared<Bytes>();
  bytes->resize(blob.plain_size());
  if (compressed) {
    if (!decompress_into(opened, *bytes)) return damaged("it cannot be decompressed");
  } else if (!opened.empty()) {
    std::memcpy(bytes->data(), opened.data(), opened.size());
  }
  return owned(std::move(bytes));
}

// What `open` returns, or why it could not go on.
template <class Open>
Result<BlobPtr> try_to(const PackedBlob& blob, const Open& open) {
  try {
    return open();
  } catch (const Error& error) {
    return error;
  } catch (const std::exception&) {
    return Error(Errc::Io, "there is no memory for its " + std::to_string(blob.plain_size()) + " bytes");
  }
}

Result<BlobPtr> open(const Crypto& crypto, const SealedBlob& item, const std::shared_ptr<Bytes>& buffer) {
  return try_to(item.blob, [&]() -> Result<BlobPtr> {
    ByteView opened;
    if (!crypto.open_in_place(item.sealed, opened)) return wrong_mac();
    return expand(item, buffer);
  });
}

Result<BlobPtr> verified(Result<BlobPtr> opened, const Id& actual, const PackedBlob& blob) {
  if (opened.ok() && actual != blob.key.id) return damaged("its content is not what its id says");
  return opened;
}

// Small blobs that are hashed together: not many, so that the first does not wait long for the last.
class Group {
 public:
  // Passes on those that are full.
  void add(std::size_t position, const SealedBlob& blob, Result<BlobPtr> opened,
           const BlobDecoder::OnDecoded& done) {
    bytes_ += opened.ok() ? opened.value()->bytes.size() : 0;
    members_[count_++].emplace(Member{position, &blob.blob, std::move(opened)});
    if (count_ == kMost || bytes_ >= kEnough) pass_on(done);
  }

  void pass_on(const BlobDecoder::OnDecoded& done) {
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

// What is opened before the one who follows is told.
constexpr std::size_t kStep = 32U << 10U;

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

bool BlobDecoder::is_large(const PackedBlob& blob) {
  // Not trees: whoever waits for one works on it at once, and would keep others waiting at the desk.
  return blob.plain_size() >= kLarge && blob.key.type == BlobType::Data;
}

void BlobDecoder::decode(std::span<const SealedBlob> blobs, const std::shared_ptr<Bytes>& buffer,
                         const OnDecoded& done) {
  Group group;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    if (is_large(blobs[i].blob)) {
      group.pass_on(done);
      Opening(*this, blobs[i], Opening::State::There, [i, done](Result<BlobPtr> blob) {
        done(i, std::move(blob));
      }).finish(buffer);
    } else {
      group.add(i, blobs[i], open(crypto_, blobs[i], buffer), done);
    }
  }
  group.pass_on(done);
}

// The content of a blob, copied as far as it needs no decoder while the blob is being opened, for another
// thread to hash.
class BlobDecoder::Opening::Copy {
 public:
  // Throws std::bad_alloc.
  Copy(const PackedBlob& blob, ByteView opening)
      : is_frame_(blob.uncompressed_length != 0),
        opening_(opening),
        blocks_(opening),
        bytes_(std::make_shared<Bytes>()) {
    bytes_->resize(blob.plain_size());
  }

  BlobPtr blob() const { return owned(bytes_); }
  std::size_t copied() const { return copied_; }
  bool is_possible() const { return fits_ && !blocks_.refused(); }
  bool is_complete() const { return fits_ && copied_ == bytes_->size() && (!is_frame_ || blocks_.ended()); }

  // The first `opened` bytes are there.
  void go_on(std::size_t opened) {
    if (!is_frame_) return append(opening_.subspan(copied_, opened - copied_));
    for (ByteView piece = blocks_.next(opened); !piece.empty() && fits_; piece = blocks_.next(opened))
      append(piece);
  }

 private:
  void append(ByteView piece) {
    fits_ = piece.size() <= bytes_->size() - copied_;
    if (!fits_) return;
    std::memcpy(bytes_->data() + copied_, piece.data(), piece.size());
    copied_ += piece.size();
  }

  const bool is_frame_;
  const ByteView opening_;
  StoredBlocks blocks_;
  const std::shared_ptr<Bytes> bytes_;
  std::size_t copied_ = 0;
  bool fits_ = true;
};

BlobDecoder::Opening::Opening(BlobDecoder& decoder, const SealedBlob& item, State state, Done done)
    : decoder_(decoder), item_(item), done_(std::move(done)), opener_(decoder.crypto_, item.sealed) {
  if (state == State::There) {
    visit_.emplace(decoder.desk_);
  } else {
    outsider_.emplace(decoder.desk_);
  }
  if (visit_ ? visit_->is_alone() : outsider_->is_alone()) let_follow();
}

BlobDecoder::Opening::~Opening() { end_following(); }

void BlobDecoder::Opening::let_follow() {
  try {
    copy_ = std::make_unique<Copy>(item_.blob, opener_.plain());
    const auto hashed = [packed = item_.blob, blob = copy_->blob(), done = done_](const Id& actual) {
      done(verified(blob, actual, packed));
    };
    trail_ = std::make_shared<TrailingHash>(decoder_.pool_, copy_->blob()->bytes, hashed);
  } catch (const std::bad_alloc&) {
    copy_.reset();  // there may be enough for doing one thing after the other
  }
}

void BlobDecoder::Opening::end_following() noexcept {
  if (trail_) trail_->give_up();
  trail_.reset();
  copy_.reset();
}

void BlobDecoder::Opening::go_on(std::size_t arrived) {
  while (trail_ && arrived_ < arrived) {
    arrived_ = std::min(arrived_ + kStep, arrived);
    copy_->go_on(opener_.go_on(arrived_));
    if (copy_->is_possible()) {
      trail_->written(copy_->copied());
    } else {
      end_following();
    }
  }
  opener_.go_on(arrived);
}

Result<BlobPtr> BlobDecoder::Opening::open_rest(const std::shared_ptr<Bytes>& buffer) {
  go_on(item_.sealed.size());
  if (!opener_.finish()) return wrong_mac();
  if (trail_ && copy_->is_complete()) return copy_->blob();
  end_following();
  return expand(item_, buffer);
}

void BlobDecoder::Opening::finish(const std::shared_ptr<Bytes>& buffer) {
  if (!visit_) visit_.emplace(decoder_.desk_);
  outsider_.reset();
  Result<BlobPtr> blob = try_to(item_.blob, [&] { return open_rest(buffer); });
  if (!blob.ok()) {
    end_following();
    return done_(std::move(blob));
  }
  // Who still follows has hashed some of it, or has not come.
  if (trail_ && std::exchange(trail_, nullptr)->complete()) return;
  const ByteView content = blob.value()->bytes;
  visit_->bring({content, [packed = item_.blob, blob = blob.take(), done = done_](const Id& actual) {
                   done(verified(blob, actual, packed));
                 }});
}

}  // namespace restic::repo
