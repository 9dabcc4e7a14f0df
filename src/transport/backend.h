// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "transport/content.h"

namespace restic::transport {

// The kinds of file a restic repository holds (FORMAT: repository layout).
enum class FileType { Config, Key, Lock, Snapshot, Index, Pack };

// The folder of a type as the REST protocol and the local layout call it: "keys", "locks", "snapshots",
// "index", "data"; "config" for Config, which is a single file and has no name of its own.
const char* folder_of(FileType type);

// One file of the repository. `name` is 64 lower-case hex digits, empty for Config.
struct FileName {
  FileType type;
  std::string name;
  std::string path() const;  // for messages: "data/ab12…", "config"
};

struct FileInfo {
  std::string name;
  std::uint64_t size;  // bytes
};

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // bytes; never 0
};

// Demand work is started before Ahead work that is still queued; nothing that has started is stopped.
enum class Urgency { Demand, Ahead };

using LoadDone = std::function<void(Result<Bytes>)>;
// Told while a range is read: `all` is where it is going to be, and its first `arrived` bytes are there and
// may be changed already. An attempt begins with 0 bytes. One that fails ends with `all` empty: when that
// call returns, nobody touches the bytes any more, whichever thread works on them.
using OnArriving = std::function<void(std::span<std::uint8_t> all, std::size_t arrived)>;
using ListDone = std::function<void(Result<std::vector<FileInfo>>)>;
using StatusDone = std::function<void(Status)>;

// Bytes and names, nothing else: where a repository's files live.
//
// Every call returns at once and completes exactly once, within a bounded time, by calling `done` on a thread
// of the backend's own (never inside the call itself). A completion must not block and must not throw; it may
// start new calls. All methods are thread-safe. The destructor first completes what is under way (Cancelled
// at the latest), then returns; no completion runs after it. Failures arrive as Error; NotFound is only ever
// said of a file that the storage positively does not have.
class Backend {
 public:
  virtual ~Backend() = default;

  // The whole file. Fails with Damaged rather than deliver fewer bytes than the file has; more than `limit`
  // bytes is Damaged too, before memory for them is taken.
  virtual void load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) = 0;
  // Exactly `range`: a file that ends before it is Damaged.
  virtual void load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) = 0;
  // The same for somebody who works on the bytes while they come. `arriving` is called on the threads that
  // call `done`, may compute there only if lends_threads(), and may not be called at all; what it throws
  // where it may compute fails the attempt, elsewhere it must not throw. Of an attempt that does not fail
  // `done` gets the bytes where they arrived.
  virtual void load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                   const OnArriving& /*arriving*/, LoadDone done) {
    load_range(file, range, urgency, std::move(done));
  }
  // The names and sizes of all files of a type, in no order; names that are not 64 lower-case hex digits are
  // left out; a missing folder is an empty list. Not for Config, and never called for Pack on a read path.
  virtual void list(FileType type, ListDone done) = 0;
  // Durable and atomic: the file is there whole or not at all; only rclone may leave half of one whose save
  // has failed. An existing file of the name may be replaced by the same content (names are content hashes);
  // Config is never overwritten (Usage).
  virtual void save(const FileName& file, SharedContent content, StatusDone done) = 0;
  virtual void remove(const FileName& file, StatusDone done) = 0;
  // Makes the folders of an empty repository. Harmless where they exist.
  virtual void create(StatusDone done) = 0;

  // How many calls of one kind it is useful to keep in flight.
  virtual unsigned parallelism() const = 0;
  // Whether `done` of a load may compute for milliseconds where it is called: the backend has threads for its
  // calls that nothing else waits for. Otherwise long work goes to a thread of the caller's.
  virtual bool lends_threads() const { return false; }
  // One line for `.status`: what this is and how it does ("rclone b2prod:… pid 123, up 2h, 0 restarts").
  virtual std::string describe() const = 0;
};

}  // namespace restic::transport
