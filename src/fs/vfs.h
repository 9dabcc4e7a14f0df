// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "repo/blob.h"
#include "repo/repository.h"

namespace restic::fs {

using NodeId = std::uint64_t;  // dense, 1 is the root; not the inode number that stat shows
inline constexpr NodeId kRootNode = 1;

// How long the kernel may believe an answer, in seconds: for ever inside a snapshot; shortly in the folders
// of snapshots, which change (they are invalidated when they do, so this only bounds a missed message).
inline constexpr double kForever = 1e9;
inline constexpr double kShortly = 1.0;

struct Entry {
  NodeId node = 0;
  struct stat attributes {};
  double name_timeout = kForever;
  double attribute_timeout = kForever;
};

struct DirEntry {
  std::string_view name;
  std::uint64_t cookie;  // pass it on to go on behind this entry
  Entry entry;           // node 0: type and inode number only ("." and "..", and everything without `plus`)
};

// Where a read is answered from: pieces of pinned memory, in order. An empty list is the end of the file.
struct ReadPiece {
  repo::BlobPtr pin;  // null: the bytes live as long as the open file
  ByteView bytes;
};

// Asked by a thread that has to wait, at first and now and then: true when nobody wants the answer any more.
// Must be cheap.
using Interrupted = std::function<bool()>;

struct VfsOptions {
  std::vector<std::string> hosts, tags,
      paths;                                  // selection; empty: all. A tag may be a list "a,b": all of them
  std::vector<std::string> path_templates;    // empty: ids/%i snapshots/%T hosts/%h/%T tags/%t/%T
  std::string time_template;                  // strftime; empty: RFC 3339 with the stored offset
  std::chrono::milliseconds refresh{60'000};  // how old the list of snapshots may be
  std::optional<std::uint32_t> uid, gid;      // shown instead of the recorded owners
  std::uint32_t umask = 0;                    // taken off every mode
  std::uint32_t meta_uid = 0, meta_gid = 0;   // who owns the folders that are not in a snapshot
};

// A text file in the root that is made anew at each open, such as `.status`.
struct TextFile {
  std::string name;
  std::function<std::string()> render;
};

// An entry of the root that somebody else serves, such as `new`: the Vfs only shows it.
struct RootEntry {
  std::string name;
  std::function<Entry()> entry;  // called by any thread; does not block
};

class OpenDir;
class OpenFile;

// The read-only tree that a repository is shown as: folders of snapshots by id, time, host and tag, and below
// them what restic recorded (FORMAT: restic mount, trees and nodes). Knows no FUSE; its operations are those
// of a FUSE low-level file system. Thread-safe. An operation may block on the network; no lock is held
// meanwhile. Failures are Error, never an absent name or an empty folder; absence is std::nullopt.
//
// File size: stat shows the size that restic recorded; reads give the content that the blobs have, which is
// the same unless the repository was tampered with (then the kernel's cache is bypassed, so that all content
// can be read).
class Vfs {
 public:
  // `repository` and `log` must outlive the Vfs. Does no I/O and starts no thread.
  Vfs(repo::Repository& repository, VfsOptions options, Log& log);
  ~Vfs();
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  // Before the first request only.
  void add_text_file(TextFile file);
  void add_root_entry(RootEntry entry);

  // Reads the list of snapshots. To be called once before the first request, and whenever a new snapshot must
  // show at once. Blocks; on failure throws, and what was shown stays.
  void load_snapshots();
  // Starts the thread that keeps the list fresh. `changed` is told every name whose meaning changed and its
  // folder; it is called with no lock held.
  void start(std::function<void(NodeId folder, const std::string& name)> changed);
  // Ends the thread; whoever waits in an operation gets Error{Cancelled} soon, and so does whoever comes
  // later.
  void shut_down();

  std::optional<Entry> lookup(NodeId parent, std::string_view name);
  // For how long the absence of a name in this folder may be believed.
  double absence_timeout(NodeId parent) const;
  void forget(NodeId node, std::uint64_t lookups);
  // nullopt: the node is gone (its snapshot left the list).
  std::optional<Entry> attributes(NodeId node);
  std::optional<std::string> read_link(NodeId node);

  // A folder as it was when it was opened; cookies stay valid for as long as it is open. Null: gone, or no
  // folder.
  std::shared_ptr<OpenDir> open_dir(NodeId node);
  // Calls `sink` for the entries behind `cookie` (0: the beginning) until it returns false: that entry was
  // not taken. With `plus` every entry that was taken counts as one lookup, except "." and "..".
  using DirSink = std::function<bool(const DirEntry&)>;
  void read_dir(OpenDir& dir, std::uint64_t cookie, bool plus, const DirSink& sink);
  // Whether the kernel may keep the listing: true inside snapshots.
  bool listing_is_final(const OpenDir& dir) const;

  // Null: no file. Throws Damaged when a part of its content is in no index.
  std::shared_ptr<OpenFile> open_file(NodeId node);
  // Whether the kernel may cache the content and believe the size that stat showed.
  bool content_is_final(const OpenFile& file) const;
  // At most `size` bytes at `offset`; fewer only at the end of the file.
  std::vector<ReadPiece> read(OpenFile& file, std::uint64_t offset, std::size_t size,
                              const Interrupted& interrupted);
  // lseek's SEEK_DATA and SEEK_HOLE; nullopt: there is none at or behind `offset`.
  std::optional<std::uint64_t> seek(const OpenFile& file, std::uint64_t offset, bool data) const;

  // Names in the order recorded; empty: none.
  std::vector<std::string> xattr_names(NodeId node);
  std::optional<std::string> xattr(NodeId node, std::string_view name);

  struct statvfs statistics() const;
  std::size_t known_nodes() const;  // how many nodes the kernel holds, for `.status`

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::fs
