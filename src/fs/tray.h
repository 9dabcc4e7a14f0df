// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "repo/id.h"

namespace restic::fs {

// One drop on the local disk: a folder `NNNNNNNN.STATE` inside a slot's `trays/` (fs/tray_store.h), holding
//
//   tray             what this is: the version of this layout and the repository's id
//   files/           what was copied into `new/`
//   snapshot         once known: the snapshot file, byte for byte as it is to stand in the repository
//   suspect          when the machine went down while it was open
//   left-out         when that does not hold everything that is here as it was copied
//
// The state is the folder's name, so that every step is one rename and recovery is a directory listing:
//
//   NNNNNNNN.fresh   being made; holds nothing of the user's; removed when found
//     | everything in it is synced, then renamed
//   NNNNNNNN.open    what `new/` shows
//     | seal(): renamed; `new/` shows the next tray, which existed before. Found with a later open tray: the
//     |         rename was cut off, it is sealed then
//   NNNNNNNN.sealed.BOOT
//     |         a drop that waits for its snapshot or is being archived; its files may not be on the disk
//     |         yet. BOOT is the run of the machine that it was sealed in: found in another run, the machine
//     |         went down in between, and files may be incomplete (may_be_incomplete()). The same is true of
//     |         one whose BOOT is `failed`: the disk did not take its files
//     | sync_files(): only when the snapshot takes long or fails
//   NNNNNNNN.sealed  the same with its files on the disk
//     | keep_snapshot(): all packs and index files are durable; the snapshot file's bytes are written beside
//     |         the files, synced, renamed to their name. Only then does the snapshot go to the repository:
//     |         a cut-off try is repeated with the same bytes, hence the same name, hence exactly once
//     | the snapshot file was written to the repository and read back
//     | finish(): renamed and synced
//   NNNNNNNN.done    nothing here is needed any more; removed in any order, and when found
//   NNNNNNNN.partial instead, where the snapshot lacks something: left to the user
//
// A rename counts once trays/ is synced; each step syncs it before the next begins. A power cut therefore
// finds the state before or after a step, never a mixture. All methods block on the local disk, throw
// Error{Io, Full}, and are called by one thread at a time, except that another may be in on_disk() and
// sync_files() while the snapshot is read or kept.
class Tray {
 public:
  enum class State { Open, Sealed, Done, Partial };

  // Makes tray `number`, open and empty, in `trays` (a folder; it must outlive the tray). `like` is the
  // files/ folder whose owner, mode and ACL the new one gets; -1: ours.
  static std::unique_ptr<Tray> make(int trays, std::uint64_t number, const repo::Id& repository, int like);
  // Opens an existing one by its folder name. Throws Error{Damaged} with the reason when it is not a whole
  // tray of `repository`.
  static std::unique_ptr<Tray> open(int trays, const std::string& folder, const repo::Id& repository);
  // Removes what a cut-off make() or remove() left: a folder `.fresh` or `.done`.
  static void remove_left_over(int trays, const std::string& folder);

  Tray(const Tray&) = delete;
  Tray& operator=(const Tray&) = delete;

  std::uint64_t number() const { return number_; }
  State state() const { return state_; }
  std::string folder() const;  // "00000001.open"
  std::string digits() const;  // "00000001"
  std::string path() const;    // for messages
  int files() const { return files_.get(); }
  bool empty() const;  // nothing in files/ that a snapshot could hold

  void seal();
  // Makes the files themselves durable, and says so in the folder's name. For a sealed tray. The kernel tells
  // of a write that failed only once: after a failure it fails again each time, and the name says so to the
  // next mount.
  void sync_files();
  // Whether sync_files() is not needed.
  bool on_disk() const { return unsynced_in_.empty() || found_unsynced_; }
  // It was found after the machine went down, or the disk failed, with files of it not on the disk.
  bool may_be_incomplete() const { return found_unsynced_ || suspect_; }
  // So it was: for one that is open, whose name does not tell.
  void suspect() noexcept;
  // Whether the snapshot is going to hold all that is here; to be said before it is kept, and may be taken
  // back later.
  void expect_whole(bool whole);
  void keep_snapshot(ByteView stored);
  // What keep_snapshot() kept last.
  std::optional<Bytes> kept_snapshot() const;
  // Done, or Partial when the snapshot is not whole.
  void finish();
  // Deletes everything. Only when Done.
  void remove();

 private:
  Tray(int trays, std::uint64_t number, State state, UniqueFd folder_fd, UniqueFd files);
  static std::unique_ptr<Tray> furnish(int trays, std::uint64_t number, const repo::Id& repository, int like);
  void change_state(State state, const std::string& unsynced_in);
  void remember_sync_failure() noexcept;

  int trays_;
  std::uint64_t number_;
  State state_;
  std::string unsynced_in_;      // boot id, or what stands for it; empty: the name has none
  bool found_unsynced_ = false;  // as its name says, and too late for a sync
  bool suspect_ = false;
  std::optional<Error> sync_failure_;
  UniqueFd folder_;
  UniqueFd files_;
};

// The number and state in a folder's name; nullopt: not a tray's.
struct TrayName {
  std::uint64_t number;
  std::string state;  // "fresh", "open", "sealed", "done"
  std::string boot;   // often empty
};
std::optional<TrayName> parse_tray_name(const std::string& folder);

}  // namespace restic::fs
