// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>
#include <unordered_set>

#include "repo/file_store.h"
#include "repo/timestamp.h"

namespace restic::repo {

// Which file, on this machine.
struct FileKey {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const FileKey&) const = default;
  static FileKey of(const struct stat& facts) { return {facts.st_dev, facts.st_ino}; }
};

// Remembers what the content of local files became, so that a file is read once. Knows nothing of whether
// those blobs are still in the repository: that is for the finder to ask. Holds a bounded number of files,
// the oldest go first. Thread-safe; only await_readers() and begin_reading_next() block.
class FileMemory {
 public:
  // `changes_are_reported`: size and changed() alone say whether a file is as it was; else its times count,
  // too.
  explicit FileMemory(bool changes_are_reported) : changes_are_reported_(changes_are_reported) {}

  // Brackets the reading of a file: remembers the result unless changed() was called for the file in between.
  // `facts` are from before the reading.
  void begin_reading(const FileKey& file);
  // False: somebody reads it. If that is of a beginning, he hears when he ends that up to `wanted` bytes are.
  [[nodiscard]] bool try_begin_reading(const FileKey& file, std::uint64_t wanted);
  // After whoever reads it now. False: somebody else waits for that already, or `stop` was asked for
  // meanwhile.
  [[nodiscard]] bool begin_reading_next(const FileKey& file, const std::stop_token& stop);
  void end_reading(const struct stat& facts, const StoredFile* result);
  // The result is of the beginning only, which ends with a whole chunk. Returns the most bytes that others
  // wanted meanwhile; 0: nobody did, or the file was changed.
  std::uint64_t end_reading_beginning(const struct stat& facts, const StoredFile* result);
  // Blocks while somebody reads the file, or until `stop`: what that one finds out need not be found twice.
  void await_readers(const FileKey& file, const std::stop_token& stop);

  std::optional<StoredFile> find(const struct stat& facts) const;
  // What is known of the file's beginning. Only where changes are reported.
  std::optional<StoredFile> find_beginning(const FileKey& file) const;
  void changed(const FileKey& file);
  void forget(const FileKey& file);

 private:
  struct Entry {
    std::uint64_t size;
    Timestamp mtime, ctime;
    StoredFile file;
    bool whole;
    std::uint64_t serial;
  };
  struct Reading {
    unsigned readers = 0;
    bool changed = false;
    std::uint64_t wanted = 0;  // bytes of it, by those who found it being read
  };
  struct KeyHash {
    std::size_t operator()(const FileKey& key) const noexcept {
      return key.inode * 0x9e3779b97f4a7c15ULL ^ key.device;
    }
  };

  bool end_reading(const FileKey& file);
  void remember(const struct stat& facts, const StoredFile& file, bool whole);
  void drop_oldest();

  const bool changes_are_reported_;
  mutable std::mutex mutex_;
  std::condition_variable_any read_;
  std::unordered_map<FileKey, Entry, KeyHash> entries_;
  std::unordered_map<FileKey, Reading, KeyHash> reading_;
  std::unordered_set<FileKey, KeyHash> next_;           // files that somebody waits to read
  std::deque<std::pair<FileKey, std::uint64_t>> ages_;  // oldest first; outdated ones are passed over
  std::uint64_t next_serial_ = 0;
};

}  // namespace restic::repo
