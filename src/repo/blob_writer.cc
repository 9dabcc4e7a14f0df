// SPDX-License-Identifier: MIT
#include "repo/blob_writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/as_error.h"
#include "repo/compression.h"
#include "repo/crypto.h"
#include "repo/index_file.h"
#include "repo/pack_header.h"
#include "repo/sealed_file.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

// zstd's level whose result is as small as restic's "auto" (measured on text, programs and sources); the next
// one takes half as long again for a few percent.
constexpr int kCompressionLevel = 2;

// What a thread works in from blob to blob. Larger buffers are rarely needed and not kept, for each thread
// has its own.
struct Scratch {
  static constexpr std::size_t kKept = 2U << 20U;

  Bytes compressed;
  Bytes checked;

  void trim() {
    for (Bytes* const bytes : {&compressed, &checked}) {
      if (bytes->capacity() > kKept) Bytes().swap(*bytes);
    }
  }

  static Scratch& of_this_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

// With as many uploads under way it is the storage that keeps packs waiting.
constexpr std::size_t kEnoughUnderWay = 2;

bool equal(ByteView a, ByteView b) { return std::ranges::equal(a, b); }

bool decompresses_to(ByteView compressed, ByteView plain, Bytes& scratch) {
  scratch.clear();  // so that growing copies nothing and takes no more than needed
  scratch.resize(plain.size());
  return decompress_into(compressed, scratch) && equal(scratch, plain);
}

void throw_if_too_large(ByteView plain) {
  if (plain.size() > std::numeric_limits<std::uint32_t>::max() - (1U << 20U)) {
    throw Error(Errc::Usage, "a folder or chunk of more than 4 GiB cannot be stored");
  }
}

Error gone_wrong(const BlobKey& key) {
  return {Errc::Damaged, "blob " + key.id.short_hex() +
                             " did not read back as it was written, before upload: this machine's memory or "
                             "processor may be faulty"};
}

}  // namespace

Added& Added::operator+=(const Added& other) {
  data_blobs += other.data_blobs;
  tree_blobs += other.tree_blobs;
  plain_bytes += other.plain_bytes;
  packed_bytes += other.packed_bytes;
  return *this;
}

BlobWriter::ProgressLink::ProgressLink(BlobWriter& writer, std::atomic<std::uint64_t>& counter)
    : writer_(writer), counter_(counter) {
  const std::lock_guard lock(writer_.mutex_);
  writer_.counters_.push_back(&counter_);
}

BlobWriter::ProgressLink::~ProgressLink() {
  const std::lock_guard lock(writer_.mutex_);
  std::erase(writer_.counters_, &counter_);
}

BlobWriter::BlobWriter(Repository& repository, MemoryBudget& budget, PackSpool& spool, const Clock& clock,
                       UploadQueue::MayWrite may_write, std::size_t pack_size)
    : repository_(repository),
      budget_(budget),
      spool_(spool),
      index_(repository.index()),
      compresses_(repository.config().version >= 2),
      index_writer_(clock, [this](std::vector<PackEntry> packs) { write_index(std::move(packs)); }),
      uploads_(repository.backend(), std::move(may_write), repository.log()),
      data_packs_(
          budget, [this](FilledPack pack) { upload(std::move(pack)); }, pack_size),
      tree_packs_(
          budget, [this](FilledPack pack) { upload(std::move(pack)); }, pack_size) {}

BlobWriter::~BlobWriter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stores_.empty() && writes_.empty(); });
}

StoredBlob BlobWriter::store(BlobType type, ByteView plain) {
  throw_if_too_large(plain);
  throw_if_failed();
  return store_hashed({type, Id::of(plain)}, plain);
}

void BlobWriter::store_on_pool(BlobType type, ByteView plain, OnStored done) {
  throw_if_too_large(plain);
  auto visit = std::make_shared<HashDesk::Visit>(desk_);
  // One object however many tasks it passes through: what it holds is gone when it was told.
  const auto told = std::make_shared<OnStored>(std::move(done));
  // Not on the thread that hashed it: that one has others to hash for.
  HashDesk::Job job{plain, [this, type, plain, told](const Id& id) {
                      try {
                        repository_.pool().submit([this, key = BlobKey{type, id}, plain, told] {
                          try {
                            (*told)(store_hashed(key, plain));
                          } catch (const std::exception& problem) {
                            (*told)(as_error(problem));
                          }
                        });
                      } catch (const std::exception& problem) {
                        (*told)(as_error(problem));
                      }
                    }};
  const std::uint64_t ticket = begin(stores_);  // until the visit has ended
  try {
    repository_.pool().submit([this, ticket, told, visit = std::move(visit), job = std::move(job)]() mutable {
      const std::optional<Error> error = failure();
      if (!error) visit->bring(std::move(job));
      visit.reset();
      end(stores_, ticket);
      if (error) (*told)(*error);
    });
  } catch (...) {
    end(stores_, ticket);
    throw;
  }
}

StoredBlob BlobWriter::store_hashed(const BlobKey& key, ByteView plain) {
  if (index_->contains(key)) return {key.id, {}};
  // Before the key is known, so that nobody who finds it known can flush without it.
  const std::uint64_t ticket = begin(stores_);
  StoredBlob stored{key.id, {}};
  try {
    if (note_new(key)) stored.added = pack(key, plain);
  } catch (const std::exception& problem) {
    fail(as_error(problem));
    end(stores_, ticket);
    throw;
  }
  end(stores_, ticket);
  return stored;
}

bool BlobWriter::has(const BlobKey& key) const {
  if (index_->contains(key)) return true;
  const KnownBlobs& blobs = shard(key);
  const std::lock_guard lock(blobs.mutex);
  return blobs.keys.contains(key);
}

bool BlobWriter::has_all(BlobType type, std::span<const Id> ids) const {
  return std::ranges::all_of(ids, [&](const Id& id) { return has({type, id}); });
}

void BlobWriter::flush(const std::stop_token& stop) {
  wait_for(stores_, stop);
  {
    // Counts as a store, so that whoever finds no open pack any more waits until this one is handed on.
    const std::uint64_t ticket = begin(stores_);
    data_packs_.close();
    tree_packs_.close();
    end(stores_, ticket);
  }
  // Later calls of store() may still fill room in the packs just closed.
  wait_for(stores_, stop);
  wait_for(writes_, stop);
  index_writer_.flush();
  wait_for(writes_, stop);
}

void BlobWriter::fail(const Error& error) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = error;
  }
  changed_.notify_all();
}

std::optional<Error> BlobWriter::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void BlobWriter::adopt(std::vector<PackEntry> packs) {
  for (PackEntry& entry : packs) {
    for (const PackedBlob& blob : entry.blobs) note_new(blob.key);
    index_writer_.add(std::move(entry));
  }
}

std::vector<PackEntry> BlobWriter::give_up() {
  const auto settle = [this] {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stores_.empty() && writes_.empty(); });
  };
  settle();
  index_writer_.flush();
  settle();
  const std::lock_guard lock(mutex_);
  return std::exchange(without_index_, {});
}

bool BlobWriter::note_new(const BlobKey& key) {
  KnownBlobs& blobs = shard(key);
  const std::lock_guard lock(blobs.mutex);
  return blobs.keys.insert(key).second;
}

void BlobWriter::throw_if_failed() const {
  const std::lock_guard lock(mutex_);
  if (failure_) throw Error(*failure_);
}

std::uint64_t BlobWriter::begin(Tickets& tickets) {
  const std::lock_guard lock(mutex_);
  return *tickets.insert(tickets.end(), next_ticket_++);
}

// The last access to this object of whoever held the ticket.
void BlobWriter::end(Tickets& tickets, std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  tickets.erase(ticket);
  changed_.notify_all();
}

// Until every ticket taken before this call has ended.
void BlobWriter::wait_for(const Tickets& tickets, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const std::uint64_t until = next_ticket_;
  const bool done =
      changed_.wait(lock, stop, [&] { return failure_ || tickets.empty() || *tickets.begin() >= until; });
  if (failure_) throw Error(*failure_);
  if (!done) throw Error(Errc::Cancelled, "stopped before everything was stored");
}

Added BlobWriter::pack(const BlobKey& key, ByteView plain) {
  Scratch& scratch = Scratch::of_this_thread();
  ByteView payload = plain;
  std::uint32_t uncompressed_length = 0;
  if (compresses_ && !plain.empty()) {
    scratch.compressed.clear();
    compress(plain, scratch.compressed, kCompressionLevel);
    // restic keeps what does not shrink compressed as well; every restic reads it either way, and so it costs
    // less.
    if (key.type == BlobType::Tree || scratch.compressed.size() < plain.size()) {
      if (!decompresses_to(scratch.compressed, plain, scratch.checked)) throw Error(gone_wrong(key));
      payload = scratch.compressed;
      uncompressed_length = static_cast<std::uint32_t>(plain.size());
    }
  }
  const auto length = static_cast<std::uint32_t>(payload.size() + kSealOverhead);
  bool reads_back = false;
  PackWriter& packs = key.type == BlobType::Data ? data_packs_ : tree_packs_;
  packs.add(key, length, uncompressed_length, [&](std::span<std::uint8_t> room) {
    repository_.crypto().seal(payload, room);
    reads_back = repository_.crypto().opens_to(room, payload);
    if (!reads_back) fail(gone_wrong(key));
  });
  if (!reads_back) throw Error(gone_wrong(key));
  scratch.trim();

  Added added;
  (key.type == BlobType::Data ? added.data_blobs : added.tree_blobs) = 1;
  added.plain_bytes = plain.size();
  added.packed_bytes = length + header_entry_size(uncompressed_length != 0);
  return added;
}

void BlobWriter::upload(FilledPack filled) {
  const std::uint64_t ticket = begin(writes_);
  const std::uint64_t visit_ticket = begin(writes_);  // until the visit has ended
  const auto give_up = [this, ticket](const std::exception& problem) {
    fail(as_error(problem));
    end(writes_, ticket);
  };
  try {
    auto visit = std::make_shared<HashDesk::Visit>(desk_);
    auto pack = std::make_shared<FilledPack>(std::move(filled));
    repository_.pool().submit(
        [this, ticket, visit_ticket, give_up, visit = std::move(visit), pack]() mutable {
          HashDesk::Job job;
          try {
            throw_if_failed();
            job = pack_to_hash(std::move(*pack), ticket);
          } catch (const std::exception& problem) {
            *pack = {};
            give_up(problem);
          }
          if (job.done) visit->bring(std::move(job));
          visit.reset();
          end(writes_, visit_ticket);
        });
  } catch (const std::exception& problem) {
    give_up(problem);
    end(writes_, visit_ticket);
  }
}

HashDesk::Job BlobWriter::pack_to_hash(FilledPack filled, std::uint64_t ticket) {
  auto finished = std::make_shared<FinishedPack>(finish_pack(std::move(filled), repository_.crypto()));
  const ByteView content(*finished->content);
  return {content, [this, ticket, finished](const Id& id) {
            finished->entry.pack = id;
            save_pack(ticket, finished);
          }};
}

// Where memory is short because the storage is slow, the pack waits for it on the disk. A local one gains
// nothing by another trip over a disk.
void BlobWriter::save_pack(std::uint64_t ticket, const std::shared_ptr<FinishedPack>& finished) noexcept {
  try {
    SharedBytes pack = std::move(finished->content);
    const bool waits = !budget_.is_ample() && uploads_.running() >= kEnoughUnderWay;
    if (!waits || repository_.backend().lends_threads()) {
      return upload_pack(ticket, finished, nullptr, std::move(pack));
    }
    spool_.put(std::move(pack), finished->entry.pack,
               [this, ticket, finished](transport::SharedContent on_disk, SharedBytes in_memory) {
                 if (on_disk) finished->charged = {};
                 upload_pack(ticket, finished, std::move(on_disk), std::move(in_memory));
               });
  } catch (const std::exception& problem) {
    fail(as_error(problem));
    end(writes_, ticket);
  }
}

// From the disk, or from memory when it is not there.
void BlobWriter::upload_pack(std::uint64_t ticket, const std::shared_ptr<FinishedPack>& finished,
                             transport::SharedContent on_disk, SharedBytes in_memory) noexcept {
  try {
    const transport::SharedContent content =
        on_disk ? std::move(on_disk) : transport::in_memory(std::move(in_memory));
    uploads_.save({FileType::Pack, finished->entry.pack.hex()}, content,
                  [this, ticket, finished, size = content->size()](const Status& status) {
                    if (status.ok()) {
                      count_upload(size);
                      index_writer_.add(std::move(finished->entry));
                    } else {
                      fail(status.error());
                    }
                    finished->charged = {};
                    end(writes_, ticket);
                  });
  } catch (const std::exception& problem) {
    fail(as_error(problem));
    end(writes_, ticket);
  }
}

void BlobWriter::count_upload(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  for (std::atomic<std::uint64_t>* counter : counters_) counter->fetch_add(bytes, std::memory_order_relaxed);
}

void BlobWriter::write_index(std::vector<PackEntry> packs) {
  const std::uint64_t ticket = begin(writes_);
  auto shared = std::make_shared<std::vector<PackEntry>>(std::move(packs));
  const auto ended = [this, ticket, shared](const Status& status) {
    if (!status.ok()) {
      fail(status.error());
      const std::lock_guard lock(mutex_);
      without_index_.insert(without_index_.end(), shared->begin(), shared->end());
    }
    end(writes_, ticket);
  };
  repository_.pool().submit([this, shared, ended] {
    SharedBytes stored;
    FileName file{FileType::Index, {}};
    try {
      stored = std::make_shared<const Bytes>(seal_file(repository_.crypto(), repository_.config().version,
                                                       file.type, encode_index_file(*shared)));
      file.name = Id::of(*stored).hex();
    } catch (const std::exception& problem) {
      return ended(as_error(problem));
    }
    uploads_.save(std::move(file), transport::in_memory(std::move(stored)), ended);
  });
}

}  // namespace restic::repo
