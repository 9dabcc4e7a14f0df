// SPDX-License-Identifier: MIT
#include "repo/file_store.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.h"
#include "repo/node_reader.h"

namespace restic::repo {
namespace {

// Read and searched for an end while it is still in the processor's cache.
constexpr std::size_t kReadSize = 512U << 10U;

// With so much of a file left another chunk may be expected.
constexpr std::size_t kWorthAnnouncing = std::size_t{3} * Chunker::kMinSize;

// Of one file, in chunks on their way, before more of it is read: enough for the pool, and the rest of the
// budget is for packs on their way.
constexpr std::size_t kMostRunning = Chunker::kMaxSize;

// Fills `into` as far as the file goes; `before_waiting` is called before it waits for the disk. A file
// system that cannot tell is taken for one in memory. Only a read that may wait tells the file's end, and
// errors: Linux 5.9 and 5.10 return 0 from others anywhere (readv(2)).
std::size_t read_at(int fd, std::uint64_t offset, std::span<std::uint8_t> into, const std::string& path,
                    const std::function<void()>& before_waiting) {
  std::size_t got = 0;
  int flags = RWF_NOWAIT;
  while (got < into.size()) {
    const iovec rest{into.data() + got, into.size() - got};
    const ssize_t count = ::preadv2(fd, &rest, 1, static_cast<off_t>(offset + got), flags);
    if (count > 0) {
      got += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (flags != 0) {
      if (count == 0 || errno == EAGAIN) before_waiting();
      flags = 0;
    } else if (count == 0) {
      break;
    } else {
      throw UnreadableError(path, errno);
    }
  }
  return got;
}

}  // namespace

// A stretch of the file in memory; goes when the last chunk in it is stored.
struct FileStore::Part {
  Part() = default;
  ~Part() {
    if (buffers) buffers->give_back(std::move(bytes));
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  Bytes bytes;
  BudgetShare charged;
  std::shared_ptr<BufferCache> buffers;  // where `bytes` came from; null: from nowhere special
};

// The chunks of one file on their way; results keep the order of the calls. The destructor waits for all of
// them.
class FileStore::Chunks {
 public:
  Chunks(BlobWriter& writer, StoredFile begun) : writer_(writer), begun_(std::move(begun)) {}
  ~Chunks() { wait(); }
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;

  void store_here(ByteView chunk) {
    const std::size_t place = reserve();
    finish(place, writer_.store(BlobType::Data, chunk));
  }

  void store_on_pool(std::shared_ptr<Part> part, ByteView chunk) {
    const std::size_t place = reserve();
    {
      const std::lock_guard lock(mutex_);
      running_bytes_ += chunk.size();
    }
    BlobWriter::OnStored done = [this, place, size = chunk.size(),
                                 held = std::move(part)](const Result<StoredBlob>& stored) mutable {
      held.reset();
      const std::lock_guard lock(mutex_);
      if (stored.ok()) {
        stored_[place] = stored.value();
      } else if (!problem_) {
        problem_ = stored.error();
      }
      running_bytes_ -= size;
      fewer_.notify_all();
    };
    try {
      writer_.store_on_pool(BlobType::Data, chunk, std::move(done));
    } catch (...) {
      const std::lock_guard lock(mutex_);
      running_bytes_ -= chunk.size();
      throw;
    }
  }

  // Blocks while more than `most` bytes are on their way.
  void wait_for_fewer(std::size_t most) {
    std::unique_lock lock(mutex_);
    fewer_.wait(lock, [&] { return running_bytes_ <= most; });
  }

  bool failed() const {
    const std::lock_guard lock(mutex_);
    return problem_.has_value();
  }

  StoredFile take(std::uint64_t size) {
    wait();
    if (problem_) throw Error(*problem_);
    StoredFile file = std::move(begun_);
    file.size = size;
    file.content.reserve(file.content.size() + stored_.size());
    for (const StoredBlob& blob : stored_) {
      file.content.push_back(blob.id);
      file.added += blob.added;
    }
    return file;
  }

 private:
  std::size_t reserve() {
    const std::lock_guard lock(mutex_);
    stored_.emplace_back();
    return stored_.size() - 1;
  }

  void finish(std::size_t place, const StoredBlob& blob) {
    const std::lock_guard lock(mutex_);
    stored_[place] = blob;
  }

  void wait() { wait_for_fewer(0); }

  BlobWriter& writer_;
  StoredFile begun_;
  mutable std::mutex mutex_;
  std::condition_variable fewer_;
  std::vector<StoredBlob> stored_;  // guarded by mutex_, like the rest
  std::size_t running_bytes_ = 0;
  std::optional<Error> problem_;
};

FileStore::FileStore(std::uint64_t chunker_polynomial, MemoryBudget& budget)
    : chunker_(chunker_polynomial),
      budget_(budget),
      buffers_(std::make_shared<BufferCache>(Chunker::kMaxSize)) {}

std::shared_ptr<FileStore::Part> FileStore::new_part(std::uint64_t wanted,
                                                     const std::stop_token& stop) const {
  const std::size_t size = std::min<std::uint64_t>(wanted, Chunker::kMaxSize);
  if (!budget_.acquire(size, stop)) throw Error(Errc::Cancelled, "stopped while reading files");
  auto part = std::make_shared<Part>();
  part->charged = BudgetShare(budget_, size);
  if (size == Chunker::kMaxSize) {
    buffers_->keep_one(budget_.is_ample());
    part->buffers = buffers_;
    part->bytes = buffers_->take();
  } else {
    part->bytes.resize(size);
  }
  return part;
}

StoredFile FileStore::store(int fd, std::uint64_t expected_size, const std::string& path, BlobWriter& writer,
                            const OnProgress& on_progress, const std::stop_token& stop,
                            StoredFile begun) const {
  return run({fd, expected_size, UINT64_MAX, true, path, std::move(begun)}, writer, on_progress, stop);
}

StoredFile FileStore::store_beginning(int fd, std::uint64_t bytes, const std::string& path,
                                      BlobWriter& writer, const std::stop_token& stop,
                                      StoredFile begun) const {
  return run(
      {fd, bytes, bytes, false, path, std::move(begun)}, writer, [](std::uint64_t) {}, stop);
}

StoredFile FileStore::run(Task task, BlobWriter& writer, const OnProgress& on_progress,
                          const std::stop_token& stop) const {
  std::uint64_t offset = task.begun.size;  // of the next byte to read
  Chunks chunks(writer, std::move(task.begun));
  std::size_t begin = 0;  // of the chunk, in the part
  std::size_t end = 0;    // of what is read, in the part
  const auto left = [&] { return std::max(task.expected_size, offset) - offset; };
  // One more than expected, to see the end of a file that has not grown without asking for more room.
  std::shared_ptr<Part> part = new_part(left() + 1, stop);
  std::optional<BlobWriter::Announcement> next_chunk;
  for (;;) {
    if (end == part->bytes.size()) {
      next_chunk.reset();
      chunks.wait_for_fewer(kMostRunning);
      // What is left of this part, without an end so far, becomes the start of the next.
      std::shared_ptr<Part> next = new_part(left() + (end - begin) + kReadSize, stop);
      std::memcpy(next->bytes.data(), part->bytes.data() + begin, end - begin);
      end -= begin;
      begin = 0;
      part = std::move(next);
    }
    if (!next_chunk && left() + (end - begin) > kWorthAnnouncing) next_chunk.emplace(writer);
    const std::size_t wanted =
        std::min<std::uint64_t>({kReadSize, part->bytes.size() - end, task.end - offset});
    const std::size_t got = read_at(task.fd, offset, std::span(part->bytes).subspan(end, wanted), task.path,
                                    [&] { next_chunk.reset(); });
    std::size_t seen = end - begin;
    offset += got;
    end += got;
    on_progress(got);
    while (const auto size = chunker_.find_end(ByteView(part->bytes).subspan(begin, end - begin), seen)) {
      chunks.store_on_pool(part, ByteView(part->bytes).subspan(begin, *size));
      begin += *size;
      seen = 0;
    }
    if (got < wanted || offset == task.end) break;
    if (chunks.failed()) break;
    if (stop.stop_requested()) throw Error(Errc::Cancelled, "stopped while reading files");
  }
  next_chunk.reset();
  if (!task.keeps_rest) {
    offset -= end - begin;
  } else if (begin < end) {
    chunks.store_here(ByteView(part->bytes).subspan(begin, end - begin));
  }
  part.reset();
  return chunks.take(offset);
}

}  // namespace restic::repo
