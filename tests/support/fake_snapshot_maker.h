// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/snapshot_maker.h"

namespace restic::test {

// A repository's writing side in memory: keeps what each drop held, fails or waits on demand. Like the real
// one it makes one snapshot of a drop however often it is asked, if it gets the bytes of the earlier try.
// Thread-safe.
class FakeSnapshotMaker final : public fs::SnapshotMaker {
 public:
  struct Drop {
    std::map<std::string, std::string> files;  // path to content
    repo::ArchiveOptions options;
  };

  void store_ahead(UniqueFd fd) override;
  void store_beginning(UniqueFd fd, std::uint64_t bytes) override;
  void content_changed(std::uint64_t device, std::uint64_t inode) override;
  repo::Snapshot archive(int folder, const repo::ArchiveOptions& options, repo::ArchiveProgress& progress,
                         const std::stop_token& stop) override;
  std::vector<repo::Id> remove_left_over_locks(const std::vector<repo::Id>& names) override;

  // The next tries fail so, one each.
  void fail_next(Errc code, const std::string& message = "made to fail");
  // The next tries write the snapshot and are cut off behind it.
  void fail_after_snapshot(unsigned times);
  // Snapshots lack so many files from now on.
  void leave_out(unsigned files);
  void hold();  // tries wait until let_go()
  void let_go();

  std::vector<Drop> drops() const;  // that became snapshots
  unsigned tries() const;
  bool wait_for_drops(std::size_t count) const;  // false: not within a minute
  bool wait_for_tries(unsigned count) const;
  bool wait_for_stored(const std::string& content) const;
  std::vector<std::string> stored_ahead() const;  // contents
  std::set<std::uint64_t> beginnings() const;     // sizes
  bool wait_for_beginning(std::uint64_t bytes) const;
  std::vector<repo::Id> removed_locks() const;
  unsigned changes() const;  // calls of content_changed()
  bool wait_for_changes(unsigned count) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<Error> failures_;
  unsigned fail_after_snapshot_ = 0;
  unsigned left_out_ = 0;
  bool held_ = false;
  unsigned tries_ = 0;
  std::vector<Drop> drops_;
  std::set<repo::Id> snapshots_;
  std::vector<std::string> stored_;
  std::set<std::uint64_t> beginnings_;
  unsigned changes_ = 0;
  std::vector<repo::Id> removed_locks_;
};

}  // namespace restic::test
