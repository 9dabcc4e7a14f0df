// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/readahead.h"
#include "fs/vfs.h"
#include "repo/blob_reader.h"
#include "repo/tree.h"

namespace restic::fs {

// Reads one file of a tree: from offsets to blobs and their bytes, with read-ahead. Holds the tree.
// Thread-safe; `read` blocks only when something is not in memory, and holds no lock then.
class FileReader {
 public:
  // Takes the size of every blob from the index; throws Damaged when one is in no index. `position` is a
  // file.
  FileReader(repo::BlobReader& blobs, repo::TreePtr tree, std::size_t position);

  std::uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }  // what the blobs have
  bool size_as_recorded() const { return size() == recorded_size_; }
  // As Vfs::read. Everything that is missing is asked for first, then what lies ahead, then it is awaited in
  // order.
  std::vector<ReadPiece> read(std::uint64_t offset, std::size_t size, const Interrupted& interrupted);
  // As Vfs::seek. Holes are the zero chunks.
  std::optional<std::uint64_t> seek(std::uint64_t offset, bool data) const;

 private:
  repo::BlobKey key(std::size_t blob) const { return {repo::BlobType::Data, content_[blob]}; }
  bool is_hole(std::size_t blob) const;
  std::uint64_t begin_of(std::size_t blob) const { return blob == 0 ? 0 : ends_[blob - 1]; }
  std::size_t blob_at(std::uint64_t offset) const;
  std::size_t first_end_beyond(std::uint64_t offset) const;
  void ask_ahead(std::uint64_t offset, std::uint64_t size);

  repo::BlobReader& blobs_;
  const repo::TreePtr tree_;  // owns what content_ points at
  std::span<const repo::Id> content_;
  std::uint64_t recorded_size_;
  std::vector<std::uint64_t> ends_;  // of each blob, in the file
  // The blob of the last read: the next one begins there or right behind.
  mutable std::atomic<std::size_t> hint_{0};
  std::mutex mutex_;
  Readahead readahead_;
};

// Waits so that an interrupted reader ends soon. Throws Cancelled then, else as BlobSlot::wait.
repo::BlobPtr wait_for_blob(repo::BlobSlot& slot, const Interrupted& interrupted);

}  // namespace restic::fs
