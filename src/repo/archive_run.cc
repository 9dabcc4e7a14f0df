// SPDX-License-Identifier: MIT
#include "repo/archive_run.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>

#include "base/as_error.h"
#include "repo/tree_writer.h"

namespace restic::repo {
namespace {

// Files opened and not yet read, and trees not yet stored: bounds descriptors and memory. The walk that has
// come so far goes on when there are few, so that not every file that is done wakes it.
constexpr std::size_t kMaxJobs = 128;
constexpr std::size_t kFewJobs = 64;
// Entries of one folder that wait for an earlier one: bounds memory where most are known without a job.
constexpr std::size_t kMaxEntries = 65536;

UniqueFd open_file(int folder_fd, const std::string& name) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd fd(::openat(folder_fd, name.c_str(), kFlags | O_NOATIME));
  if (!fd && errno == EPERM) fd.reset(::openat(folder_fd, name.c_str(), kFlags));  // not our file
  return fd;
}

bool same_content(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && to_timestamp(a.st_mtim) == to_timestamp(b.st_mtim);
}

}  // namespace

StoredFile stored_beginning(const FileMemory& memory, const struct stat& facts, const BlobWriter& writer) {
  std::optional<StoredFile> begun = memory.find_beginning(FileKey::of(facts));
  const bool fits = begun && begun->size <= static_cast<std::uint64_t>(facts.st_size) &&
                    writer.has_all(BlobType::Data, begun->content);
  return fits ? std::move(*begun) : StoredFile{};
}

// A folder whose tree is being put together. Its entries have places in the order of their names; those at
// the front that are known are written at once and leave.
struct ArchiveRun::Folder {
  Folder(FolderPtr outer_folder, std::size_t place_in_outer, const Zone& zone)
      : outer(std::move(outer_folder)), place(place_in_outer), tree(zone) {}

  struct Entry {
    bool known = false;
    std::optional<OwnedNode> node;  // known, but none: left out
  };

  const FolderPtr outer;  // null for the start
  const std::size_t place;
  OwnedNode node;

  std::mutex mutex;
  TreeWriter tree;  // guarded by mutex, like the rest
  std::deque<Entry> entries;
  std::size_t written = 0;  // how many places were before the first of `entries`
  bool listed = false;
  std::vector<Xattr> xattr_views;
  std::vector<std::string> names;  // kept for the start only
};

struct ArchiveRun::FileJob {
  UniqueFd fd;
  struct stat facts {};
  std::string name, path;
  FolderPtr folder;
  std::size_t place = 0;
};

ArchiveRun::ArchiveRun(const ArchiveTools& tools, BlobWriter& writer, bool partial, ArchiveProgress& progress,
                       const std::stop_token& stop)
    : tools_(tools), writer_(writer), partial_(partial), progress_(progress), pass_stop_on_(stop, [this] {
        fail(Error(Errc::Cancelled, "stopped before everything was stored"));
      }) {}

ArchiveRun::~ArchiveRun() = default;

ArchivedFolder ArchiveRun::run(int folder_fd) {
  const auto start = std::make_shared<Folder>(nullptr, 0, tools_.zone);
  folder_ = start;
  try {
    walk_folder(folder_fd, *this);
    list_is_complete(start);
  } catch (const std::exception& problem) {
    fail(as_error(problem));
  }
  folder_ = nullptr;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return jobs_ == 0; });
  if (error_) throw Error(*error_);
  result_.names = std::move(start->names);
  return std::move(result_);
}

bool ArchiveRun::enter_folder(int fd, const std::string& name, const std::string& path) {
  wait_for_room();
  wait_for_entries();
  OwnedNode node;
  try {
    struct stat facts {};
    if (::fstat(fd, &facts) != 0) throw UnreadableError(path, errno);
    node = read_node(fd, facts, name, path, tools_.users);
  } catch (const UnreadableError& error) {
    leave_out(error);
    return false;
  }
  folder_ = std::make_shared<Folder>(folder_, add_place(*folder_), tools_.zone);
  folder_->node = std::move(node);
  return true;
}

void ArchiveRun::leave_folder() {
  const FolderPtr left = std::exchange(folder_, folder_->outer);
  list_is_complete(left);
}

void ArchiveRun::visit(int folder_fd, const std::string& name, const struct stat& facts,
                       const std::string& path) {
  wait_for_entries();
  if (stop_.stop_requested()) throw Error(Errc::Cancelled, "stopped");
  if (S_ISSOCK(facts.st_mode)) return;
  const std::size_t place = add_place(*folder_);
  try {
    if (S_ISREG(facts.st_mode)) return visit_file(folder_fd, name, facts, path, place);
    complete(folder_, place, read_node_at(folder_fd, facts, name, path, tools_.users));
  } catch (const UnreadableError& error) {
    leave_out(error);
    complete(folder_, place, std::nullopt);
  }
}

void ArchiveRun::unreadable(const std::string& path, int error_number) {
  leave_out(UnreadableError(path, error_number));
}

void ArchiveRun::leave_out(const UnreadableError& error) {
  if (error.passes()) throw UnreadableError(error);
  progress_.files_unreadable.fetch_add(1, std::memory_order_relaxed);
  if (!partial_) throw UnreadableError(error);
  tools_.log.warning(std::string("left out of the snapshot: ") + error.what());
}

void ArchiveRun::visit_file(int folder_fd, const std::string& name, const struct stat& facts,
                            const std::string& path, std::size_t place) {
  if (std::optional<StoredFile> stored = stored_already(facts)) {
    return add_file(folder_, place, read_node_at(folder_fd, facts, name, path, tools_.users),
                    std::move(*stored));
  }
  auto job = std::make_shared<FileJob>();
  job->fd = open_file(folder_fd, name);
  if (!job->fd || ::fstat(job->fd.get(), &job->facts) != 0) throw UnreadableError(path, errno);
  if (!S_ISREG(job->facts.st_mode)) throw UnreadableError(path, ESTALE);  // another one took its name
  job->name = name;
  job->path = path;
  job->folder = folder_;
  job->place = place;
  wait_for_room();
  begin_job();
  tools_.readers.submit([this, job] {
    try {
      if (!stop_.stop_requested()) read_file(*job);
    } catch (const std::exception& problem) {
      fail(as_error(problem));
    }
    job->fd.reset();
    end_job();
  });
}

// What the file's content became when it was read before, if all of it is in the repository under this lock.
std::optional<StoredFile> ArchiveRun::stored_already(const struct stat& facts) {
  std::optional<StoredFile> stored = tools_.memory.find(facts);
  if (!stored) return std::nullopt;
  if (!writer_.has_all(BlobType::Data, stored->content)) return std::nullopt;
  progress_.bytes_done.fetch_add(stored->size, std::memory_order_relaxed);
  return stored;
}

void ArchiveRun::read_file(FileJob& job) {
  try {
    OwnedNode node = read_node(job.fd.get(), job.facts, job.name, job.path, tools_.users);
    // It may be stored ahead just now, or be read under another name.
    tools_.memory.await_readers(FileKey::of(job.facts), stop_.get_token());
    std::optional<StoredFile> stored = stored_already(job.facts);
    add_file(job.folder, job.place, std::move(node), stored ? std::move(*stored) : store_content(job));
  } catch (const UnreadableError& error) {
    leave_out(error);
    complete(job.folder, job.place, std::nullopt);
  }
}

StoredFile ArchiveRun::store_content(const FileJob& job) {
  const auto on_progress = [this](std::uint64_t bytes) {
    progress_.bytes_done.fetch_add(bytes, std::memory_order_relaxed);
  };
  StoredFile stored;
  tools_.memory.begin_reading(FileKey::of(job.facts));
  try {
    StoredFile begun = stored_beginning(tools_.memory, job.facts, writer_);
    on_progress(begun.size);
    stored = tools_.file_store.store(job.fd.get(), static_cast<std::uint64_t>(job.facts.st_size), job.path,
                                     writer_, on_progress, stop_.get_token(), std::move(begun));
  } catch (...) {
    tools_.memory.end_reading(job.facts, nullptr);
    throw;
  }
  tools_.memory.end_reading(job.facts, &stored);
  struct stat after {};
  if (::fstat(job.fd.get(), &after) != 0 || !same_content(job.facts, after)) {
    progress_.files_changed_while_read.fetch_add(1, std::memory_order_relaxed);
    tools_.log.warning(job.path + " changed while it was read");
  } else if (stored.size != static_cast<std::uint64_t>(after.st_size)) {
    throw UnreadableError(job.path, EIO);  // an end where there is none
  }
  return stored;
}

void ArchiveRun::add_file(const FolderPtr& folder, std::size_t place, OwnedNode node, StoredFile stored) {
  node.content = std::move(stored.content);
  node.facts.size = stored.size;
  progress_.files_done.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    ++result_.files;
    result_.bytes += stored.size;
    result_.added += stored.added;
  }
  complete(folder, place, std::move(node));
}

std::size_t ArchiveRun::add_place(Folder& folder) {
  const std::lock_guard lock(folder.mutex);
  folder.entries.emplace_back();
  return folder.written + folder.entries.size() - 1;
}

void ArchiveRun::complete(const FolderPtr& folder, std::size_t place, std::optional<OwnedNode> node) {
  bool whole = false;
  {
    const std::lock_guard lock(folder->mutex);
    Folder::Entry& entry = folder->entries[place - folder->written];
    entry.node = std::move(node);
    entry.known = true;
    while (!folder->entries.empty() && folder->entries.front().known) {
      if (const auto& first = folder->entries.front().node) {
        folder->tree.add(first->view(folder->xattr_views));
        if (!folder->outer) folder->names.push_back(first->name);
      }
      folder->entries.pop_front();
      ++folder->written;
      if (folder->entries.size() == kMaxEntries) fewer_entries_.notify_all();
    }
    whole = folder->listed && folder->entries.empty();
  }
  if (whole) store_tree(folder);
}

void ArchiveRun::list_is_complete(const FolderPtr& folder) {
  bool whole = false;
  {
    const std::lock_guard lock(folder->mutex);
    folder->listed = true;
    whole = folder->entries.empty();
  }
  if (whole) store_tree(folder);
}

void ArchiveRun::store_tree(const FolderPtr& folder) {
  begin_job();
  tools_.pool.submit([this, folder] {
    try {
      if (!stop_.stop_requested()) {
        const std::string text = folder->tree.finish();
        const StoredBlob stored = writer_.store(BlobType::Tree, as_bytes(text));
        {
          const std::lock_guard lock(mutex_);
          result_.added += stored.added;
          if (folder->outer) ++result_.folders;
          if (!folder->outer) result_.tree = stored.id;
        }
        if (folder->outer) {
          folder->node.facts.subtree = stored.id;
          complete(folder->outer, folder->place, std::move(folder->node));
        }
      }
    } catch (const std::exception& problem) {
      fail(as_error(problem));
    }
    end_job();
  });
}

// Only the walk waits; what a job begins in turn must go on at once.
void ArchiveRun::wait_for_room() {
  std::unique_lock lock(mutex_);
  if (jobs_ < kMaxJobs) return;
  changed_.wait(lock, [&] { return jobs_ <= kFewJobs; });
}

// Only the walk waits, and before it takes a place: each entry before has its job begun, which the walk does
// not hold up. A job that fails stops the run.
void ArchiveRun::wait_for_entries() {
  std::unique_lock lock(folder_->mutex);
  fewer_entries_.wait(lock, stop_.get_token(), [&] { return folder_->entries.size() <= kMaxEntries; });
}

void ArchiveRun::begin_job() {
  const std::lock_guard lock(mutex_);
  ++jobs_;
}

// The last access to this object by whoever began the job.
void ArchiveRun::end_job() {
  const std::lock_guard lock(mutex_);
  --jobs_;
  if (jobs_ == 0 || jobs_ == kFewJobs) changed_.notify_all();
}

void ArchiveRun::fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  stop_.request_stop();
}

}  // namespace restic::repo
