// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "repo/archive_progress.h"
#include "repo/blob_writer.h"
#include "repo/cpu_pool.h"
#include "repo/file_memory.h"
#include "repo/file_store.h"
#include "repo/folder_walk.h"
#include "repo/node_reader.h"
#include "repo/timestamp.h"
#include "repo/work_queue.h"

namespace restic::repo {

// What every run works with; owned by the archiver, all thread-safe.
struct ArchiveTools {
  const FileStore& file_store;
  FileMemory& memory;
  UserNames& users;
  WorkQueue& readers;
  CpuPool& pool;
  const Zone& zone;
  Log& log;
};

struct ArchivedFolder {
  Id tree;
  std::vector<std::string> names;  // of the top level, as far as they are in the tree
  std::uint64_t files = 0, folders = 0, bytes = 0;
  Added added;
};

// What the file's beginning became when it was read before, if all of it is in the repository under this
// lock; else nothing of it.
StoredFile stored_beginning(const FileMemory& memory, const struct stat& facts, const BlobWriter& writer);

// Stores one folder with everything in it, as a tree of trees. The caller's thread walks, the readers read
// files, the pool seals; each folder becomes a tree as soon as its last entry is known, and its entries leave
// memory one by one in the order of their names. Use once.
class ArchiveRun final : private FolderVisitor {
 public:
  // Without `partial` the first thing that cannot be read ends the run; what cannot be read for a reason that
  // passes ends it always. Everything must outlive it.
  ArchiveRun(const ArchiveTools& tools, BlobWriter& writer, bool partial, ArchiveProgress& progress,
             const std::stop_token& stop);
  ~ArchiveRun() override;

  // Blocks; what it stored is durable after BlobWriter::flush(). Throws UnreadableError, Cancelled, or the
  // writer's failure.
  ArchivedFolder run(int folder_fd);

 private:
  struct Folder;
  using FolderPtr = std::shared_ptr<Folder>;
  struct FileJob;

  bool enter_folder(int fd, const std::string& name, const std::string& path) override;
  void leave_folder() override;
  void visit(int folder_fd, const std::string& name, const struct stat& facts,
             const std::string& path) override;
  void unreadable(const std::string& path, int error_number) override;

  void visit_file(int folder_fd, const std::string& name, const struct stat& facts, const std::string& path,
                  std::size_t place);
  std::optional<StoredFile> stored_already(const struct stat& facts);
  void read_file(FileJob& job);
  StoredFile store_content(const FileJob& job);
  void add_file(const FolderPtr& folder, std::size_t place, OwnedNode node, StoredFile stored);
  void leave_out(const UnreadableError& error);

  std::size_t add_place(Folder& folder);
  void complete(const FolderPtr& folder, std::size_t place, std::optional<OwnedNode> node);
  void list_is_complete(const FolderPtr& folder);
  void store_tree(const FolderPtr& folder);

  void wait_for_room();
  void wait_for_entries();
  void begin_job();
  void end_job();
  void fail(const Error& error);

  const ArchiveTools tools_;
  BlobWriter& writer_;
  const bool partial_;
  ArchiveProgress& progress_;
  std::stop_source stop_;  // also when the run has failed
  FolderPtr folder_;       // the walk is in; used by the caller's thread only

  std::condition_variable_any fewer_entries_;  // of folder_, with that folder's mutex
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t jobs_ = 0;  // guarded by mutex_, like the rest
  std::optional<Error> error_;
  ArchivedFolder result_;

  // The last member: it may be called as soon as it is there.
  const std::stop_callback<std::function<void()>> pass_stop_on_;
};

}  // namespace restic::repo
