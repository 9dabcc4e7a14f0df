// SPDX-License-Identifier: MIT
#include "repo/archiver.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <optional>
#include <utility>

#include "repo/archive_run.h"
#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "repo/write_session.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

constexpr std::uint64_t kMinBudget = 64U << 20U;
// What the open packs of both kinds may hold while nothing is on its way.
constexpr std::uint64_t kOpenPacks = 2 * PackWriter::kTargetSize;
// Files that wait to be stored ahead hold a descriptor each.
constexpr std::size_t kMaxAhead = 256;
constexpr std::chrono::seconds kAheadPause{30};
// A tray with more names at its top is recorded as "/", for every listing of snapshots shows all paths.
constexpr std::size_t kMaxPaths = 1000;

// Readers hold and ask for room at once: so many that the budget always has room for one of them to go on.
unsigned reader_count(std::uint64_t budget, unsigned cores) {
  const std::uint64_t room = (budget - kOpenPacks) / FileStore::kMaxHeld;
  return static_cast<unsigned>(std::clamp<std::uint64_t>(room, 1, cores + 1));
}

// Counts what a run will have to do.
class Counter final : public FolderVisitor {
 public:
  explicit Counter(ArchiveProgress& progress) : progress_(progress) {}
  void enter_folder(int, const std::string&, const std::string&) override {}
  void leave_folder() override {}
  void visit(int, const std::string&, const struct stat& facts, const std::string&) override {
    if (!S_ISREG(facts.st_mode)) return;
    progress_.files_total.fetch_add(1, std::memory_order_relaxed);
    progress_.bytes_total.fetch_add(static_cast<std::uint64_t>(facts.st_size), std::memory_order_relaxed);
  }
  void unreadable(const std::string&, int) override {}

 private:
  ArchiveProgress& progress_;
};

// Takes files that are in a snapshot now out of the memory.
class Forgetter final : public FolderVisitor {
 public:
  explicit Forgetter(FileMemory& memory) : memory_(memory) {}
  void enter_folder(int, const std::string&, const std::string&) override {}
  void leave_folder() override {}
  void visit(int, const std::string&, const struct stat& facts, const std::string&) override {
    if (S_ISREG(facts.st_mode)) memory_.forget(FileKey::of(facts));
  }
  void unreadable(const std::string&, int) override {}

 private:
  FileMemory& memory_;
};

Timestamp wall_time(const Clock& clock) {
  const std::chrono::nanoseconds wall = clock.wall();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall);
  return {seconds.count(), static_cast<std::uint32_t>((wall - seconds).count())};
}

std::vector<std::string> default_paths(const std::vector<std::string>& names) {
  if (names.size() > kMaxPaths) return {"/"};
  std::vector<std::string> paths;
  paths.reserve(names.size());
  for (const std::string& name : names) paths.push_back("/" + name);
  return paths;
}

SnapshotSummary summarize(const ArchivedFolder& folder) {
  SnapshotSummary summary;
  summary.files_new = folder.files;
  summary.dirs_new = folder.folders;
  summary.data_blobs = folder.added.data_blobs;
  summary.tree_blobs = folder.added.tree_blobs;
  summary.data_added = folder.added.plain_bytes;
  summary.data_added_packed = folder.added.packed_bytes;
  summary.total_files_processed = folder.files;
  summary.total_bytes_processed = folder.bytes;
  return summary;
}

}  // namespace

struct Archiver::Impl {
  Impl(Repository& repository_to_fill, ArchiverOptions all_options, const Clock& the_clock)
      : repository(repository_to_fill),
        options(std::move(all_options)),
        clock(the_clock),
        budget(std::max(options.upload_budget, kMinBudget)),
        file_store(repository.config().chunker_polynomial, budget, repository.pool()),
        memory(options.changes_are_reported),
        sessions(repository, budget, options.owner, options.journal, options.idle_release, clock),
        readers(reader_count(std::max(options.upload_budget, kMinBudget), repository.pool().threads())) {}

  ~Impl() { stop_ahead.request_stop(); }

  void store_one_ahead(const UniqueFd& fd);
  Snapshot store_all(int folder_fd, const ArchiveOptions& archive_options, ArchiveProgress& progress,
                     const std::stop_token& stop);
  std::optional<Snapshot> find_earlier(const Bytes& stored);
  Snapshot describe(const ArchivedFolder& folder, const ArchiveOptions& archive_options,
                    Timestamp begun) const;
  void write_snapshot(Snapshot& snapshot, const ArchiveOptions& archive_options,
                      const WriteSessions::Lease& lease);
  void take_back(const FileName& file) noexcept;

  Repository& repository;
  const ArchiverOptions options;
  const Clock& clock;
  const LocalZone zone;
  MemoryBudget budget;
  FileStore file_store;
  FileMemory memory;
  UserNames users;
  WriteSessions sessions;
  std::stop_source stop_ahead;
  std::atomic<Clock::Instant> ahead_from{Clock::Instant::zero()};
  WorkQueue readers;  // the last: its threads use all the others
};

Archiver::Archiver(Repository& repository, ArchiverOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(repository, std::move(options), clock)) {}

Archiver::~Archiver() = default;

void Archiver::store_ahead(UniqueFd fd) {
  if (impl_->clock.now() < impl_->ahead_from.load(std::memory_order_relaxed)) return;
  auto shared = std::make_shared<UniqueFd>(std::move(fd));
  impl_->readers.submit_later([impl = impl_.get(), shared] { impl->store_one_ahead(*shared); }, kMaxAhead);
}

void Archiver::content_changed(std::uint64_t device, std::uint64_t inode) {
  impl_->memory.changed({device, inode});
}

void Archiver::Impl::store_one_ahead(const UniqueFd& fd) {
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) return;
  memory.begin_reading(FileKey::of(facts));
  try {
    const WriteSessions::Lease lease = sessions.lease();
    const StoredFile stored = file_store.store(
        fd.get(), static_cast<std::uint64_t>(facts.st_size), "a file stored ahead", lease.writer(),
        [](std::uint64_t) {}, stop_ahead.get_token());
    memory.end_reading(facts, &stored);
  } catch (const std::exception& problem) {
    memory.end_reading(facts, nullptr);
    // The commit will say what is wrong; until then it is enough to try now and again.
    ahead_from.store(clock.now() + kAheadPause, std::memory_order_relaxed);
    repository.log().info(std::string("not stored ahead: ") + problem.what());
  }
}

Snapshot Archiver::archive(int folder_fd, const ArchiveOptions& options, ArchiveProgress& progress,
                           const std::stop_token& stop) {
  Impl& impl = *impl_;
  if (std::optional<Snapshot> earlier = impl.find_earlier(options.earlier_snapshot)) return *earlier;
  Counter counter(progress);
  walk_folder(folder_fd, counter);

  Snapshot snapshot;
  try {
    snapshot = impl.store_all(folder_fd, options, progress, stop);
  } catch (const Error& error) {
    const bool stopped = error.code() == Errc::Cancelled;
    impl.sessions.close_unused(stopped ? WriteSessions::Ending::Abandon : WriteSessions::Ending::Finish);
    throw;
  }
  impl.sessions.close_unused(WriteSessions::Ending::Finish);
  impl.file_store.release_buffers();
  Forgetter forgetter(impl.memory);
  walk_folder(folder_fd, forgetter);
  return snapshot;
}

Snapshot Archiver::Impl::store_all(int folder_fd, const ArchiveOptions& archive_options,
                                   ArchiveProgress& progress, const std::stop_token& stop) {
  const Timestamp begun = wall_time(clock);
  const WriteSessions::Lease lease = sessions.lease();
  BlobWriter& writer = lease.writer();
  const BlobWriter::ProgressLink count_uploads(writer, progress.bytes_uploaded);
  const ArchiveTools tools{file_store, memory, users, readers, repository.pool(), zone, repository.log()};
  const ArchivedFolder folder =
      ArchiveRun(tools, writer, archive_options.partial, progress, stop).run(folder_fd);
  if (folder.names.empty()) throw Error(Errc::Usage, "there is nothing in the folder to make a snapshot of");
  writer.flush(stop);
  Snapshot snapshot = describe(folder, archive_options, begun);
  write_snapshot(snapshot, archive_options, lease);
  return snapshot;
}

// The snapshot of an earlier try, if its file got into the repository.
std::optional<Snapshot> Archiver::Impl::find_earlier(const Bytes& stored) {
  if (stored.empty()) return std::nullopt;
  const Id id = Id::of(stored);
  const FileName file{FileType::Snapshot, id.hex()};
  try {
    Bytes there = transport::load(repository.backend(), file, kMaxSnapshotFile);
    return decode_snapshot(
        id, open_sealed_file(repository.crypto(), repository.config().version, file, std::move(there)));
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound || error.code() == Errc::Damaged) return std::nullopt;
    throw;
  }
}

Snapshot Archiver::Impl::describe(const ArchivedFolder& folder, const ArchiveOptions& archive_options,
                                  Timestamp begun) const {
  Snapshot snapshot;
  snapshot.time = begun;
  snapshot.zone_seconds = zone.offset_seconds(begun.seconds);
  snapshot.tree = folder.tree;
  snapshot.paths = archive_options.paths.empty() ? default_paths(folder.names) : archive_options.paths;
  snapshot.hostname = archive_options.hostname;
  snapshot.username = archive_options.username;
  snapshot.uid = archive_options.uid;
  snapshot.gid = archive_options.gid;
  snapshot.tags = archive_options.tags;
  snapshot.program_version = archive_options.program_version;
  snapshot.summary = summarize(folder);
  snapshot.summary->backup_start = format_time(begun, zone);
  snapshot.summary->backup_end = format_time(wall_time(clock), zone);
  return snapshot;
}

// Writes the snapshot file, the earlier one if it says the same, and reads it back.
void Archiver::Impl::write_snapshot(Snapshot& snapshot, const ArchiveOptions& archive_options,
                                    const WriteSessions::Lease& lease) {
  const unsigned version = repository.config().version;
  SharedBytes stored;
  if (!archive_options.earlier_snapshot.empty()) {
    const Bytes& earlier = archive_options.earlier_snapshot;
    const Id id = Id::of(earlier);
    try {
      Snapshot same = decode_snapshot(
          id, open_sealed_file(repository.crypto(), version, {FileType::Snapshot, id.hex()}, earlier));
      if (same.tree == snapshot.tree) {
        snapshot = std::move(same);
        stored = std::make_shared<const Bytes>(earlier);
      }
    } catch (const Error& error) {
      repository.log().warning(std::string("the snapshot of an earlier try is of no use: ") + error.what());
    }
  }
  if (!stored) {
    stored = std::make_shared<const Bytes>(
        seal_file(repository.crypto(), version, FileType::Snapshot, encode_snapshot(snapshot)));
    snapshot.id = Id::of(*stored);
    if (archive_options.before_snapshot) archive_options.before_snapshot(snapshot.id, *stored);
  }
  const FileName file{FileType::Snapshot, snapshot.id.hex()};
  lease.check_lock();
  try {
    transport::save(repository.backend(), file, stored);
  } catch (const Error&) {
    if (!lease.has_lock()) take_back(file);  // the answer may be what was lost
    throw;
  }
  if (!lease.has_lock()) {
    take_back(file);
    throw lock_lost();
  }
  if (transport::load(repository.backend(), file, kMaxSnapshotFile) != *stored) {
    throw Error(Errc::Damaged, file.path() + " did not read back as it was written");
  }
}

// A snapshot that arrived after the lock was lost: a prune that ran meanwhile did not know of it.
void Archiver::Impl::take_back(const FileName& file) noexcept {
  try {
    transport::remove(repository.backend(), file);
    repository.log().warning(file.path() + " is removed again, for it was written too late under its lock");
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound) return;
    repository.log().error(file.path() +
                           " was written too late under its lock and cannot be removed: " + error.what());
  } catch (const std::exception& error) {
    repository.log().error(std::string("a snapshot written too late cannot be removed: ") + error.what());
  }
}

}  // namespace restic::repo
