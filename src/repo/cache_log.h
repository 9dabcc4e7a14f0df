// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "repo/id.h"
#include "repo/local_seal.h"

namespace restic::repo {

// Says the first trouble with the local cache as a warning and all further ones at Debug. Thread-safe.
class CacheWarnings {
 public:
  explicit CacheWarnings(Log& log) : log_(log) {}
  void report(const std::string& message);

 private:
  Log& log_;
  std::atomic<bool> warned_{false};
};

// Sealed records by id in one file that only grows: a short checked header and the sealed content each. Which
// record lies where is read once, at the beginning, and then kept in memory (about 70 bytes a record). Never
// fails: anything wrong with the file, its folder or its disk makes a miss, is reported once, and at worst
// the log does nothing.
//
// Several processes may have the same log open. The first of them holds its lock and writes; the others read
// what was there when they came. A file that outgrew its budget is written anew with the records used last
// and renamed into place, which leaves the readers their old one. Nothing is synced: what a power cut tears
// is dropped by its checks. Thread-safe; calls block on the local disk, with no lock held.
class CacheLog {
 public:
  struct Stats {
    std::size_t records = 0;
    std::uint64_t bytes = 0;  // of the file
  };

  // `folder`: an open directory, -1: the log does nothing. `name` becomes NAME.log and NAME.lock in it. The
  // file is kept below `budget` bytes.
  CacheLog(int folder, std::string name, LocalSeal seal, std::uint64_t budget,
           std::shared_ptr<CacheWarnings> warnings);
  ~CacheLog();
  CacheLog(const CacheLog&) = delete;
  CacheLog& operator=(const CacheLog&) = delete;

  // Whether get() may find it; does not touch the disk.
  bool contains(const Id& id) const;
  std::optional<Bytes> get(const Id& id) { return get(seal_.token(id)); }
  // Does nothing when the id is there already, when another process writes, and when there is no room for so
  // much. Now and then it has to rewrite the file, which takes as long as copying it.
  void put(const Id& id, ByteView plain);
  // Whether a record may have so many bytes: half of the budget at most.
  bool has_room_for(std::uint64_t plain_size) const;
  // Drops all records but these.
  void keep_only(std::span<const Id> ids);

  // All records there are, for readers of the whole log.
  std::vector<LocalSeal::Token> tokens() const;
  std::optional<Bytes> get(const LocalSeal::Token& token);

  Stats stats() const;

 private:
  struct Place {
    std::uint64_t offset;  // of the sealed content
    std::uint32_t sealed_size, plain_size;
    std::uint64_t last_used;  // a clock of our own that counts uses
  };
  struct TokenHash {
    std::size_t operator()(const LocalSeal::Token& token) const noexcept;
  };
  using Places = std::unordered_map<LocalSeal::Token, Place, TokenHash>;
  struct RecordHeader;

  void open();
  bool lock();
  bool open_existing();
  UniqueFd create_file(const std::string& name);
  void scan(int file, std::uint64_t size);
  RecordHeader make_header(const LocalSeal::Token& token, std::uint64_t sealed_size,
                           std::uint64_t plain_size) const;
  bool plausible(const RecordHeader& header) const;
  std::uint64_t file_check() const;
  void seal_and_append(const LocalSeal::Token& token, ByteView plain);
  bool append(const LocalSeal::Token& token, ByteView plain, ByteView record);
  void give_back(const UniqueFd& file, std::uint64_t offset, std::uint64_t size);
  using Record = std::pair<LocalSeal::Token, Place>;
  static void keep_last_used(std::vector<Record>& records, std::uint64_t most_bytes);
  void rewrite(std::uint64_t most_bytes);
  void copy_to_new_file(std::uint64_t most_bytes);  // may run out of memory
  std::string temporary_name() const { return name_ + ".tmp"; }
  std::optional<Bytes> read(const LocalSeal::Token& token, const Place& place, const UniqueFd& file) const;
  void stop_writing(const std::string& why);
  std::string describe(const std::string& what) const;

  const int folder_;
  const std::string name_;
  const LocalSeal seal_;
  const std::uint64_t budget_;
  const std::shared_ptr<CacheWarnings> warnings_;
  UniqueFd lock_;

  mutable std::mutex mutex_;
  std::shared_ptr<UniqueFd> file_;  // null: there is none
  Places places_;
  std::uint64_t end_ = 0;         // where the next record goes
  std::uint64_t live_bytes_ = 0;  // of the records in places_
  std::uint64_t clock_ = 0;
  bool writable_ = false, rewriting_ = false;
};

}  // namespace restic::repo
