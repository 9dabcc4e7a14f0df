// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>

#include "transport/backend.h"
#include "transport/worker_pool.h"

namespace restic::transport {

// A repository in a folder of a local (or mounted) file system, laid out as restic's local backend does it:
// data/xx/id with xx the first two digits, everything else flat, config a file of its own; new files 0400 in
// folders 0700, or 0440 and 0770 where the config is readable by its group. See Backend for the contract of
// the calls.
//
// Calls run on a small pool of threads, each blocking in one system call at a time. Nothing is cached: every
// file is opened for the call that reads it, so that a pruned pack frees its space and the disk can be
// unmounted. A file counts as missing only while the repository is there: once a config was seen, a folder
// without it is a disk that was unmounted, and every call says Unavailable.
class LocalBackend : public Backend {
 public:
  // `folder` must exist (NotFound) and be a folder (Usage). `connections` threads, 0 for a default. Blocks
  // shortly.
  LocalBackend(const std::string& folder, unsigned connections);
  ~LocalBackend() override = default;

  void load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) override;
  void load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) override;
  void load_range_arriving(const FileName& file, ByteRange range, Urgency urgency, const OnArriving& arriving,
                           LoadDone done) override;
  void list(FileType type, ListDone done) override;
  void save(const FileName& file, SharedContent content, StatusDone done) override;
  void remove(const FileName& file, StatusDone done) override;
  void create(StatusDone done) override;
  unsigned parallelism() const override { return pool_.size(); }
  bool lends_threads() const override { return true; }
  std::string describe() const override;

 private:
  template <class T>
  void run(Urgency urgency, std::function<void(Result<T>)> done, std::function<T()> work);
  Error explain(const Error& error) const;
  std::string folder_for(const FileName& file) const;
  std::string path_for(const FileName& file) const;
  bool shared_with_group() const;
  void make_folders_for(const FileName& file, mode_t mode) const;
  std::vector<FileInfo> list_packs() const;
  void check_present(const std::string& folder) const;

  std::string root_;  // absolute, without a slash at the end
  std::atomic<bool> seen_config_ = false;
  WorkerPool pool_;  // last: its destructor runs jobs that use the rest
};

}  // namespace restic::transport
