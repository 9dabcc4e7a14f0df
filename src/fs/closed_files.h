// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fs/snapshot_maker.h"
#include "fs/staged_nodes.h"

namespace restic::fs {

// Knows which files of `new/` are open for writing, and hands a file to the repository once its last writer
// has closed it and nobody touched it for a while, and a large one's beginning while it grows. Thread-safe;
// one thread of its own, which reads nothing but opens files.
class ClosedFiles {
 public:
  ClosedFiles(StagedNodes& nodes, SnapshotMaker& maker, std::chrono::milliseconds quiet);
  ~ClosedFiles();
  ClosedFiles(const ClosedFiles&) = delete;
  ClosedFiles& operator=(const ClosedFiles&) = delete;

  // `sequential_fd`: the file, if what is written to it comes here one after the other.
  void opened_for_writing(const StagedNodePtr& node, int sequential_fd = -1);
  void closed_after_writing(const StagedNodePtr& node);
  // Of a file that is open for writing, each after it was done: bytes were written; something else was
  // changed.
  void written(const StagedNodePtr& node, std::uint64_t offset, std::uint64_t bytes);
  void changed(const StagedNodePtr& node);

  bool any_writer() const;
  // Waits until nothing is open for writing, `patience` at most.
  void await_writers(std::chrono::milliseconds patience);
  std::vector<StagedNodePtr> writers() const;
  // The mount is gone, and with it whatever was open in it, told or not. Nothing is opened or closed after
  // this.
  void end_writers();
  // The drop was sealed: what waits to be handed over is archived with it.
  void drop_waiting();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Touched {
    unsigned writers = 0;
    std::uint64_t changes = 0;  // counts openings, to notice one that came in between
    bool waiting = false;
    Time due;
    // Since it was empty it has only been written from its start to its end, without a gap.
    bool grows = false;
    std::uint64_t size = 0;         // of one that grows
    std::uint64_t handed_over = 0;  // its beginning
  };
  struct Waiting {
    StagedNodePtr node;
    Time due;
  };
  struct Beginning {
    StagedNodePtr node;
    std::uint64_t bytes;
    std::uint64_t changes;  // as counted then
  };
  void run();
  void hand_over(const StagedNodePtr& node);
  void hand_over(const Beginning& beginning);
  bool still_grows(const Beginning& beginning) const;
  UniqueFd open_to_read(const StagedNodePtr& node);
  void touch(const StagedNodePtr& node, unsigned new_writers, int sequential_fd);

  StagedNodes& nodes_;
  SnapshotMaker& maker_;
  const std::chrono::milliseconds quiet_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  unsigned writers_ = 0;
  std::unordered_map<StagedNodePtr, Touched> files_;
  std::deque<Waiting> waiting_;  // ascending by time
  std::deque<Beginning> beginnings_;
  std::thread thread_;
};

}  // namespace restic::fs
