// SPDX-License-Identifier: MIT
#include "fs/file_reader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>

#include "base/error.h"
#include "fs/attributes.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

// How soon a reader notices that it was interrupted.
constexpr auto kTurn = 100ms;

constexpr std::array<std::uint8_t, kZeroChunkSize> kZeros{};

}  // namespace

repo::BlobPtr wait_for_blob(repo::BlobSlot& slot, const Interrupted& interrupted) {
  if (slot.ready()) return slot.wait();
  if (interrupted()) throw Error(Errc::Cancelled, "the read was interrupted");
  struct Waiter {
    std::mutex mutex;
    std::condition_variable turn;
    bool done = false;
  };
  const auto waiter = std::make_shared<Waiter>();  // outlives a reader that gives up
  slot.when_ready([waiter] {
    {
      std::lock_guard lock(waiter->mutex);
      waiter->done = true;
    }
    waiter->turn.notify_one();  // without the lock, which the reader would wake up only to wait for
  });
  std::unique_lock lock(waiter->mutex);
  while (!waiter->turn.wait_for(lock, kTurn, [&] { return waiter->done; })) {
    if (interrupted()) throw Error(Errc::Cancelled, "the read was interrupted");
  }
  return slot.wait();
}

FileReader::FileReader(repo::BlobReader& blobs, repo::TreePtr tree, std::size_t position)
    : blobs_(blobs), tree_(std::move(tree)) {
  const repo::Node node = tree_->node(position);
  content_ = node.content;
  recorded_size_ = node.size;
  ends_.reserve(content_.size());
  std::uint64_t end = 0;
  for (std::size_t blob = 0; blob < content_.size(); ++blob) {
    const auto size = blobs_.plain_size(key(blob));
    if (!size) {
      throw Error(Errc::Damaged, "a part of the file " + std::string(node.name) + " is missing: blob " +
                                     content_[blob].hex() + " is in no index");
    }
    end += *size;
    ends_.push_back(end);
  }
}

bool FileReader::is_hole(std::size_t blob) const {
  return is_zero_chunk(content_[blob]) && ends_[blob] - begin_of(blob) == kZeroChunkSize;
}

// The blob that holds the byte; offset < size(). Empty blobs are never found, for the first end above counts.
std::size_t FileReader::blob_at(std::uint64_t offset) const {
  std::size_t blob = hint_.load(std::memory_order_relaxed);
  for (std::size_t tries = 0; tries < 2 && blob < ends_.size(); ++tries, ++blob) {
    if (begin_of(blob) <= offset && offset < ends_[blob]) break;
  }
  if (blob >= ends_.size() || offset < begin_of(blob) || offset >= ends_[blob]) {
    blob = first_end_beyond(offset);
  }
  hint_.store(blob, std::memory_order_relaxed);
  return blob;
}

std::size_t FileReader::first_end_beyond(std::uint64_t offset) const {
  return static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
}

// Asks for what a reader at this place will want next. What a sequential reader has left behind is given up,
// but not what lies before its run: another one may be reading there.
void FileReader::ask_ahead(std::uint64_t offset, std::uint64_t size) {
  Readahead::Range range, passed;
  {
    const std::uint64_t room = blobs_.room_ahead();
    std::lock_guard lock(mutex_);
    range = readahead_.next(offset, size, this->size(), room);
    passed = readahead_.passed();
  }
  if (!passed.empty()) {
    for (auto blob = first_end_beyond(passed.begin); blob < ends_.size() && ends_[blob] <= passed.end; ++blob)
      blobs_.retire(key(blob));
  }
  if (range.empty()) return;
  std::vector<repo::BlobKey> keys;
  std::vector<std::size_t> places;
  for (auto blob = first_end_beyond(range.begin); blob < ends_.size() && begin_of(blob) < range.end; ++blob) {
    if (is_hole(blob)) continue;
    keys.push_back(key(blob));
    places.push_back(blob);
  }
  if (keys.empty()) return;
  const auto slots = blobs_.request(keys, transport::Urgency::Ahead);
  const auto refused =
      static_cast<std::size_t>(std::find(slots.begin(), slots.end(), nullptr) - slots.begin());
  if (refused == slots.size()) return;
  std::lock_guard lock(mutex_);
  readahead_.refused(begin_of(places[refused]));
}

std::vector<ReadPiece> FileReader::read(std::uint64_t offset, std::size_t size,
                                        const Interrupted& interrupted) {
  std::vector<ReadPiece> pieces;
  if (offset >= this->size() || size == 0) return pieces;
  const std::uint64_t end = offset + std::min<std::uint64_t>(size, this->size() - offset);

  struct Part {
    std::size_t blob;
    repo::BlobPtr have;
    std::size_t missing;  // its place in `wanted`, when there is nothing yet
  };
  std::vector<Part> parts;
  std::vector<repo::BlobKey> wanted;
  for (std::size_t blob = blob_at(offset); blob < ends_.size() && begin_of(blob) < end; ++blob) {
    if (begin_of(blob) == ends_[blob]) continue;
    Part part{blob, nullptr, 0};
    if (!is_hole(blob) && !(part.have = blobs_.cached(key(blob)))) {
      part.missing = wanted.size();
      wanted.push_back(key(blob));
    }
    parts.push_back(std::move(part));
  }

  // Two calls: what nobody waits for yet must not go before what another reader waits for.
  std::vector<repo::BlobSlotPtr> slots;
  if (!wanted.empty()) slots = blobs_.request(wanted, transport::Urgency::Demand);
  ask_ahead(offset, end - offset);

  for (auto& [blob, have, missing] : parts) {
    const std::uint64_t begin = begin_of(blob);
    ByteView bytes(kZeros);
    if (!is_hole(blob)) {
      if (!have) have = wait_for_blob(*slots[missing], interrupted);
      bytes = have->bytes;
    }
    if (bytes.size() != ends_[blob] - begin) {
      throw Error(Errc::Damaged, "blob " + content_[blob].hex() + " has not the size that the index says");
    }
    const std::uint64_t from = std::max(offset, begin) - begin;
    pieces.push_back({std::move(have), bytes.subspan(from, std::min(end, ends_[blob]) - begin - from)});
  }
  return pieces;
}

std::optional<std::uint64_t> FileReader::seek(std::uint64_t offset, bool data) const {
  if (offset >= size()) return std::nullopt;
  for (std::size_t blob = blob_at(offset); blob < ends_.size(); ++blob) {
    if (is_hole(blob) != data && begin_of(blob) != ends_[blob]) return std::max(offset, begin_of(blob));
  }
  if (data) return std::nullopt;
  return size();
}

}  // namespace restic::fs
