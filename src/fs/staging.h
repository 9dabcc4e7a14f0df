// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "fs/branch.h"
#include "fs/closed_files.h"
#include "fs/control.h"
#include "fs/snapshot_maker.h"
#include "fs/staged_nodes.h"
#include "fs/tray_store.h"

namespace restic::fs {

// Who turns drops into snapshots, as the operations on `new/` see it. Thread-safe; nothing here blocks for
// long.
class CommitService {
 public:
  using Ticket = std::uint64_t;  // never 0
  virtual ~CommitService() = default;
  // Seals what is in `new/` and calls `done` once it and all earlier drops are durable in the repository or a
  // try at each was made, with the first failure. `done` runs on a thread of the service's own, or
  // inside the call.
  virtual Ticket commit(std::function<void(const Status&)> done) = 0;
  // The caller waits no more. True: `done` will not be called. The drop goes on.
  virtual bool stop_waiting(Ticket ticket) = 0;
  // Nobody can be answered any more after this: who waits gets Cancelled, and who comes later does at once.
  // Returns when no `done` runs.
  virtual void end_waiting() = 0;
  virtual CommitProgress progress() const = 0;
  // What is not durable yet is left to the next mount.
  virtual void leave() = 0;
};

// `new/`: a writable folder whose files lie in the open tray. Operations are passed through to the file
// system of the state folder (fs/staging_ops.cc), so it keeps that one's promises.
//
// A sealed tray takes no more changes: who still stands in one of its folders gets ESTALE, on which the
// kernel looks the path up again. The folder shown as `new` is another one then at once, even while
// somebody's fsync holds the old one. The old one's id stays good as a name for the current tray: a shell
// whose working folder is `new/` goes on working there.
//
// A file that is open for writing while its tray is sealed is not part of that drop: it is taken over, with
// the folders on its way, into the next tray, and its writer goes on undisturbed.
//
// Thread-safe. Blocks on the local disk only. `store`, `maker`, `clock` and `log` must outlive it.
class Staging final : public Branch {
 public:
  // How long a closed file is left alone before it is stored ahead of the commit.
  static constexpr std::chrono::milliseconds kTouchedAgain{1000};

  Staging(TrayStore& store, SnapshotMaker& maker, const Clock& clock, Log& log,
          std::chrono::milliseconds touched_again = kTouchedAgain);
  ~Staging() override;

  std::string name() const override { return "new"; }
  Entry root() override;
  const ::fuse_lowlevel_ops& operations() const override;
  void start(Invalidate invalidate) override;
  void stop() override;
  void settle() override { await_closing(); }

  // To be called before the first request.
  void connect(CommitService& commits) { commits_ = &commits; }
  CommitService& commits() { return *commits_; }

  // Cuts the drop: the tray as it is becomes the caller's, sealed; `new/` is empty but for files open for
  // writing. Null: there is nothing to commit. Throws Error{Io, Full}: the tray stays open with all its
  // files. (When not even a file that was taken over can be put back, it has no name until the next
  // successful seal; its writers go on.)
  std::unique_ptr<Tray> seal();

  // Shows the same tray as another folder: the kernel lets nobody into the old one while it waits in fsync.
  void show_anew();

  bool empty() const;
  bool any_writer() const { return closed_files_.any_writer(); }
  // The kernel tells of a close(2) only after it has returned to its caller, so a file that was closed just
  // before may still look open. Gives such news a moment to come; for those who promise that a drop has all
  // that was closed.
  void await_closing();
  // After the last request: an unmount sends no word of the files that were closed just before it.
  void end_writers() { closed_files_.end_writers(); }
  Clock::Instant last_change() const { return Clock::Instant(last_change_.load(std::memory_order_relaxed)); }

  // ---- for the operations
  static bool is_top(NodeId id);
  // Null: the kernel should not know it. Every top's id stands for the current top.
  StagedNodePtr node(NodeId id) const;
  StagedNodes& nodes() { return nodes_; }
  ClosedFiles& closed_files() { return closed_files_; }
  void note_change() { last_change_.store(clock_.now().count(), std::memory_order_relaxed); }
  // The `new/` that is shown now has been made known to the kernel. Not from inside an operation.
  void wait_until_shown() const;

 private:
  struct Shower;  // tells the kernel that `new` is another folder, on a thread of its own

  static StagedNodePtr make_top(const Tray& tray);
  void tell_kernel() const;
  std::shared_ptr<Shower> shower() const;
  std::unique_ptr<Tray> try_to_seal();
  void prepare_next();
  void carry_over_open_files();
  bool put_back_open_files();

  TrayStore& store_;
  const Clock& clock_;
  Log& log_;
  CommitService* commits_ = nullptr;
  StagedNodes nodes_;
  ClosedFiles closed_files_;
  std::atomic<std::int64_t> last_change_;
  std::mutex sealing_;  // one seal at a time; held over it
  mutable std::mutex mutex_;
  std::uint64_t generation_ = 1;  // of the id that `new` is shown with
  std::unique_ptr<Tray> tray_;
  StagedNodePtr top_;
  // While a seal is under way, and after one that could not put back the files that it had taken over.
  std::unique_ptr<Tray> next_;
  StagedNodePtr next_top_;
  std::vector<StagedNodePtr> taken_over_;  // nodes that belong to next_top_ now
  std::shared_ptr<Shower> shower_;
};

// A change of `new/` under way, from before the first system call to after the last: it happens wholly before
// or wholly after a seal. False: the node is in a sealed tray or unknown, answer ESTALE.
class StagingChange {
 public:
  StagingChange(Staging& staging, NodeId id);
  StagingChange(Staging& staging, StagedNodePtr node);
  ~StagingChange();
  StagingChange(const StagingChange&) = delete;
  StagingChange& operator=(const StagingChange&) = delete;

  explicit operator bool() const { return gate_ != nullptr; }
  const StagedNodePtr& node() const { return node_; }
  // Whether `other` is in the same tray.
  bool covers(const StagedNodePtr& other) const { return other && staging_.nodes().gate(other) == gate_; }

 private:
  bool enter();

  Staging& staging_;
  StagedNodePtr node_;
  std::shared_ptr<TrayGate> gate_;
};

}  // namespace restic::fs
