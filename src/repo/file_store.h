// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/blob_writer.h"
#include "repo/buffer_cache.h"
#include "repo/chunker.h"
#include "repo/memory_budget.h"

namespace restic::repo {

// The content of a file as it was read.
struct StoredFile {
  std::vector<Id> content;  // the chunks, in order
  std::uint64_t size = 0;   // bytes read
  Added added;
};

// Reads files once, from start to end, cuts them into chunks and stores those. A file of one chunk is stored
// on the caller's thread; the chunks of a larger one on the pool, while the next part is read. Thread-safe;
// blocks on the disk and for room in the budget, so it is not for pool threads.
class FileStore {
 public:
  // A caller of store() holds no more of the budget than this at any time, besides what its chunks became.
  static constexpr std::uint64_t kMaxHeld = 2 * Chunker::kMaxSize;

  // Everything must outlive the store.
  FileStore(std::uint64_t chunker_polynomial, MemoryBudget& budget);

  // `expected_size` is what stat says; the file may turn out longer or shorter. `on_progress` is told of
  // bytes read. Throws UnreadableError, Cancelled, or the writer's failure.
  using OnProgress = std::function<void(std::uint64_t bytes)>;
  // Goes on after `begun`, which is what store_beginning() returned for this file; it is not told of again.
  StoredFile store(int fd, std::uint64_t expected_size, const std::string& path, BlobWriter& writer,
                   const OnProgress& on_progress, const std::stop_token& stop, StoredFile begun = {}) const;
  // Stores the chunks that end within the file's first `bytes`, from where `begun` ends, which is before
  // that.
  StoredFile store_beginning(int fd, std::uint64_t bytes, const std::string& path, BlobWriter& writer,
                             const std::stop_token& stop, StoredFile begun) const;

  // Gives memory back that is kept for the next large file.
  void release_buffers() const { buffers_->keep_one(false); }

 private:
  struct Part;
  class Chunks;

  // A stretch of a file: from the end of `begun` up to `end`, and whether what is left there is a chunk.
  struct Task {
    int fd;
    std::uint64_t expected_size;
    std::uint64_t end;
    bool keeps_rest;
    const std::string& path;
    StoredFile begun;
  };
  StoredFile run(Task task, BlobWriter& writer, const OnProgress& on_progress,
                 const std::stop_token& stop) const;
  std::shared_ptr<Part> new_part(std::uint64_t wanted, const std::stop_token& stop) const;

  const Chunker chunker_;
  MemoryBudget& budget_;
  const std::shared_ptr<BufferCache> buffers_;
};

}  // namespace restic::repo
