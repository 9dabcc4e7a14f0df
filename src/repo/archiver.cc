// SPDX-License-Identifier: MIT
#include "repo/archiver.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "repo/archive_run.h"
#include "repo/crypto.h"
#include "repo/index_check.h"
#include "repo/sealed_file.h"
#include "repo/snapshot_file.h"
#include "repo/write_session.h"

namespace restic::repo {
namespace {

using transport::FileType;

constexpr std::uint64_t kMinBudget = 64U << 20U;
// What the open packs of both kinds may hold while nothing is on its way.
constexpr std::uint64_t kOpenPacks = 2 * PackWriter::kTargetSize;
// Files that wait to be stored ahead hold a descriptor each.
constexpr std::size_t kMaxAhead = 256;
constexpr std::chrono::seconds kAheadPause{30};
constexpr const char* kAhead = "a file stored ahead";
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
  bool enter_folder(int, const std::string&, const std::string&) override { return true; }
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
  bool enter_folder(int, const std::string&, const std::string&) override { return true; }
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
        spool(options.spool_folder, repository.log()),
        file_store(repository.config().chunker_polynomial, budget),
        memory(options.changes_are_reported),
        sessions(repository, budget, spool, options.owner, options.journal, options.idle_release, clock),
        readers(reader_count(std::max(options.upload_budget, kMinBudget), repository.pool().threads())) {}

  ~Impl() { stop_ahead.request_stop(); }

  void store_one_ahead(const UniqueFd& fd);
  void store_one_beginning(const UniqueFd& fd, std::uint64_t bytes);
  std::uint64_t store_stretch(const UniqueFd& fd, std::uint64_t bytes, BlobWriter& writer);
  void pause_ahead(const std::exception& problem);
  Snapshot store_all(int folder_fd, const ArchiveOptions& archive_options, ArchiveProgress& progress,
                     const std::stop_token& stop);
  std::optional<Snapshot> find_earlier(const Bytes& kept, const std::stop_token& stop);
  std::optional<Snapshot> write_earlier(const Bytes& kept, ArchiveProgress& progress,
                                        const std::stop_token& stop);
  Snapshot describe(const ArchivedFolder& folder, const ArchiveOptions& archive_options,
                    Timestamp begun) const;
  void write_snapshot(Snapshot& snapshot, const ArchiveOptions& archive_options,
                      const WriteSessions::Lease& lease);

  Repository& repository;
  const ArchiverOptions options;
  const Clock& clock;
  const LocalZone zone;
  MemoryBudget budget;
  PackSpool spool;
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

void Archiver::store_beginning(UniqueFd fd, std::uint64_t bytes) {
  if (impl_->clock.now() < impl_->ahead_from.load(std::memory_order_relaxed)) return;
  auto shared = std::make_shared<UniqueFd>(std::move(fd));
  impl_->readers.submit_later(
      [impl = impl_.get(), shared, bytes] { impl->store_one_beginning(*shared, bytes); }, kMaxAhead);
}

void Archiver::content_changed(std::uint64_t device, std::uint64_t inode) {
  impl_->memory.changed({device, inode});
}

// The lease comes first: who awaits a reader of the file may be what the lease would have to wait for.
void Archiver::Impl::store_one_ahead(const UniqueFd& fd) {
  try {
    const std::optional<WriteSessions::Lease> lease = sessions.lease_unless_failed();
    struct stat facts {};
    const auto is_there = [&] {
      return ::fstat(fd.get(), &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size != 0 &&
             facts.st_nlink != 0;
    };
    if (!lease || !is_there()) return;
    // Who stores a stretch of it will know what need not be read again.
    if (!memory.begin_reading_next(FileKey::of(facts), stop_ahead.get_token())) return;
    try {
      // Another one, or none at all, since then.
      if (!is_there() || memory.find(facts)) return memory.end_reading(facts, nullptr);
      const StoredFile stored = file_store.store(
          fd.get(), static_cast<std::uint64_t>(facts.st_size), kAhead, lease->writer(), [](std::uint64_t) {},
          stop_ahead.get_token(), stored_beginning(memory, facts, lease->writer()));
      memory.end_reading(facts, &stored);
    } catch (...) {
      memory.end_reading(facts, nullptr);
      throw;
    }
  } catch (const std::exception& problem) {
    pause_ahead(problem);
  }
}

void Archiver::Impl::store_one_beginning(const UniqueFd& fd, std::uint64_t bytes) {
  try {
    const std::optional<WriteSessions::Lease> lease = sessions.lease_unless_failed();
    while (lease && bytes != 0) bytes = store_stretch(fd, bytes, lease->writer());
  } catch (const std::exception& problem) {
    pause_ahead(problem);
  }
}

// Returns up to where somebody wanted it stored who came meanwhile, 0 if nobody did.
std::uint64_t Archiver::Impl::store_stretch(const UniqueFd& fd, std::uint64_t bytes, BlobWriter& writer) {
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return 0;
  // It was truncated or removed meanwhile, or is known as a whole.
  if (bytes > static_cast<std::uint64_t>(facts.st_size) || facts.st_nlink == 0 || memory.find(facts))
    return 0;
  if (!memory.try_begin_reading(FileKey::of(facts), bytes)) return 0;  // who reads it will go on
  try {
    StoredFile begun = stored_beginning(memory, facts, writer);
    if (begun.size >= bytes) return memory.end_reading_beginning(facts, nullptr);  // a later one was first
    const StoredFile stored =
        file_store.store_beginning(fd.get(), bytes, kAhead, writer, stop_ahead.get_token(), std::move(begun));
    return memory.end_reading_beginning(facts, &stored);
  } catch (...) {
    memory.end_reading_beginning(facts, nullptr);
    throw;
  }
}

// The commit will say what is wrong; until then it is enough to try now and again.
void Archiver::Impl::pause_ahead(const std::exception& problem) {
  ahead_from.store(clock.now() + kAheadPause, std::memory_order_relaxed);
  repository.log().info(std::string("not stored ahead: ") + problem.what());
}

Snapshot Archiver::archive(int folder_fd, const ArchiveOptions& options, ArchiveProgress& progress,
                           const std::stop_token& stop) {
  Impl& impl = *impl_;
  if (std::optional<Snapshot> earlier = impl.find_earlier(options.earlier_snapshot, stop)) {
    if (options.when_durable) options.when_durable(*earlier);
    return *earlier;
  }
  Counter counter(progress);
  walk_folder(folder_fd, counter);

  Snapshot snapshot;
  try {
    std::optional<Snapshot> earlier = impl.write_earlier(options.earlier_snapshot, progress, stop);
    snapshot = earlier ? std::move(*earlier) : impl.store_all(folder_fd, options, progress, stop);
  } catch (const Error& error) {
    const bool stopped = error.code() == Errc::Cancelled;
    impl.sessions.close_unused(stopped ? WriteSessions::Ending::Abandon : WriteSessions::Ending::Finish);
    throw;
  }
  const auto tidy = [&] {
    impl.sessions.close_unused(WriteSessions::Ending::Finish);
    impl.file_store.release_buffers();
    Forgetter forgetter(impl.memory);
    walk_folder(folder_fd, forgetter);
  };
  std::future<void> tidied;
  try {
    tidied = std::async(std::launch::async, tidy);
  } catch (const std::system_error&) {  // no thread to be had
    tidy();
  }
  if (options.when_durable) options.when_durable(snapshot);
  if (tidied.valid()) tidied.get();
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

// The snapshot of an earlier try, if its file got into the repository under a lock that held.
std::optional<Snapshot> Archiver::Impl::find_earlier(const Bytes& kept, const std::stop_token& stop) {
  std::optional<Snapshot> earlier = find_kept_snapshot(repository, kept);
  if (!earlier) return std::nullopt;
  repository.refresh_index_to_write();
  if (has_everything(repository, *repository.index(), earlier->tree, Unreadable::Missing, stop)) {
    return earlier;
  }
  repository.log().warning("snapshot " + earlier->id.short_hex() +
                           " was written, but not all of it is stored");
  return std::nullopt;
}

// Writes the snapshot of an earlier try if all it refers to is still stored. That is better than to store it
// again: a power cut may have damaged the files here, but not what was durable there.
std::optional<Snapshot> Archiver::Impl::write_earlier(const Bytes& kept, ArchiveProgress& progress,
                                                      const std::stop_token& stop) {
  std::optional<Snapshot> earlier = open_kept_snapshot(repository, kept);
  if (!earlier) return std::nullopt;
  const WriteSessions::Lease lease = sessions.lease();
  repository.refresh_index_to_write();  // the session may be older than what an earlier try stored
  if (!has_everything(repository, *repository.index(), earlier->tree, Unreadable::Failure, stop)) {
    return std::nullopt;
  }
  save_snapshot(repository, lease, std::make_shared<const Bytes>(kept));
  progress.files_done = progress.files_total.load();
  progress.bytes_done = progress.bytes_total.load();
  return earlier;
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

// Writes the snapshot file, the earlier one if it says the same.
void Archiver::Impl::write_snapshot(Snapshot& snapshot, const ArchiveOptions& archive_options,
                                    const WriteSessions::Lease& lease) {
  std::optional<Snapshot> earlier = open_kept_snapshot(repository, archive_options.earlier_snapshot);
  if (earlier && earlier->tree == snapshot.tree) {
    snapshot = std::move(*earlier);
    return save_snapshot(repository, lease, std::make_shared<const Bytes>(archive_options.earlier_snapshot));
  }
  const auto stored = std::make_shared<const Bytes>(seal_file(
      repository.crypto(), repository.config().version, FileType::Snapshot, encode_snapshot(snapshot)));
  snapshot.id = Id::of(*stored);
  if (archive_options.before_snapshot) archive_options.before_snapshot(snapshot.id, *stored);
  save_snapshot(repository, lease, stored);
}

}  // namespace restic::repo
