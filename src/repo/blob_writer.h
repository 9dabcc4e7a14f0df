// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "repo/hash_desk.h"
#include "repo/index_writer.h"
#include "repo/memory_budget.h"
#include "repo/pack_spool.h"
#include "repo/pack_writer.h"
#include "repo/repository.h"
#include "repo/upload_queue.h"

namespace restic::repo {

// What storing something added to the repository.
struct Added {
  std::uint64_t data_blobs = 0, tree_blobs = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t packed_bytes = 0;  // sealed, with the header entries
  Added& operator+=(const Added& other);
};

struct StoredBlob {
  Id id;
  Added added;  // zero for a blob that was there already
};

// From plaintext to packs and index files in the repository, for as long as one lock is held: hashes, leaves
// out what the index names or what was stored before in this run, compresses as the repository's version
// says, seals into a pack, opens it again to be sure, uploads, and lists uploaded packs in index files. The
// first failure is final: every later call throws it, and a new writer goes on with what the index files name
// by then. Thread-safe. store() is CPU work and never waits for I/O; flush() and the destructor block on the
// network.
class BlobWriter {
 public:
  // Takes the repository's index as it is now. `may_write` is asked before each upload. All must outlive the
  // writer.
  BlobWriter(Repository& repository, MemoryBudget& budget, PackSpool& spool, const Clock& clock,
             UploadQueue::MayWrite may_write, std::size_t pack_size = PackWriter::kTargetSize);
  // Waits for uploads under way.
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  StoredBlob store(BlobType type, ByteView plain);
  // The same on the pool, where it is hashed beside others. `done` is told there, once, and must not throw;
  // until then `plain` must stay as it is and the writer must live.
  using OnStored = std::function<void(Result<StoredBlob> stored)>;
  void store_on_pool(BlobType type, ByteView plain, OnStored done);
  // Of somebody who will most likely call store_on_pool() soon, and waits for nothing before he does or takes
  // it back: what is to be hashed may wait for that, to be hashed beside it. Taking it back may be CPU work,
  // and then uploads begin on this thread.
  class Announcement {
   public:
    explicit Announcement(BlobWriter& writer) : visit_(writer.desk_) {}

   private:
    HashDesk::Visit visit_;
  };
  // Whether the blob is in the repository or will be after flush().
  bool has(const BlobKey& key) const;
  bool has_all(BlobType type, std::span<const Id> ids) const;
  // Blocks until everything whose store() has returned is durable and named by an index file. Throws the
  // writer's failure, or Cancelled when `stop` was asked for.
  void flush(const std::stop_token& stop);

  // Makes every call throw `error` from now on; no effect after another failure.
  void fail(const Error& error) noexcept;
  std::optional<Error> failure() const;

  // Packs that are in the repository though no index file names them, from an earlier writer.
  void adopt(std::vector<PackEntry> packs);
  // After a failure: writes the index of what was uploaded, if that can still be done, and returns the packs
  // that remain without one. Blocks.
  std::vector<PackEntry> give_up();
  // After give_up(): index files that landed in part or too late and could not be removed. Nobody may trust
  // them.
  std::vector<transport::FileName> take_strays() { return uploads_.take_strays(); }

  // Adds the sealed bytes that the backend confirms to a counter for the time of a scope. Must not outlive
  // the writer.
  class ProgressLink {
   public:
    ProgressLink(BlobWriter& writer, std::atomic<std::uint64_t>& counter);
    ~ProgressLink();
    ProgressLink(const ProgressLink&) = delete;
    ProgressLink& operator=(const ProgressLink&) = delete;

   private:
    BlobWriter& writer_;
    std::atomic<std::uint64_t>& counter_;
  };

 private:
  using Tickets = std::set<std::uint64_t>;
  struct KnownBlobs {
    mutable std::mutex mutex;
    std::unordered_set<BlobKey, BlobKeyHash> keys;
  };
  static constexpr std::size_t kShards = 16;

  KnownBlobs& shard(const BlobKey& key) { return known_[key.id.bytes[31] % kShards]; }
  const KnownBlobs& shard(const BlobKey& key) const { return known_[key.id.bytes[31] % kShards]; }
  bool note_new(const BlobKey& key);

  void throw_if_failed() const;
  StoredBlob store_hashed(const BlobKey& key, ByteView plain);
  std::uint64_t begin(Tickets& tickets);
  void end(Tickets& tickets, std::uint64_t ticket);
  void wait_for(const Tickets& tickets, const std::stop_token& stop);

  Added pack(const BlobKey& key, ByteView plain);
  void upload(FilledPack filled);
  HashDesk::Job pack_to_hash(FilledPack filled, std::uint64_t ticket);
  void save_pack(std::uint64_t ticket, const std::shared_ptr<FinishedPack>& finished) noexcept;
  void upload_pack(std::uint64_t ticket, const std::shared_ptr<FinishedPack>& finished,
                   transport::SharedContent on_disk, SharedBytes in_memory) noexcept;
  void count_upload(std::uint64_t bytes);
  void write_index(std::vector<PackEntry> packs);

  Repository& repository_;
  MemoryBudget& budget_;
  PackSpool& spool_;
  const std::shared_ptr<const Index> index_;
  const bool compresses_;
  std::array<KnownBlobs, kShards> known_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Error> failure_;  // guarded by mutex_, like the rest
  std::uint64_t next_ticket_ = 0;
  Tickets stores_;  // calls of store() under way
  Tickets writes_;  // packs and index files on their way to the repository
  std::vector<std::atomic<std::uint64_t>*> counters_;
  std::vector<PackEntry> without_index_;  // uploaded, but their index file failed

  // Enough for a pack and for the chunks that come while two others are hashed.
  static constexpr std::size_t kMostLeft = 4;
  HashDesk desk_{kMostLeft};
  IndexWriter index_writer_;
  UploadQueue uploads_;
  PackWriter data_packs_, tree_packs_;
};

}  // namespace restic::repo
