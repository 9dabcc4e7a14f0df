// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "base/log.h"
#include "transport/backend.h"

namespace restic::repo {

// Saves files in the order given, as many at once as the backend finds useful. Thread-safe; never blocks but
// in its destructor. `done` runs on the backend's thread, or on the one that asks when writing is not
// allowed.
class UploadQueue {
 public:
  // `may_write` is asked just before a save starts; what it returns instead of success is that save's result.
  // For an index file it is asked again when the save has ended: if writing is not allowed any more, a prune
  // may have removed the packs it names, so the file is removed again, as far as that can be done. So is one
  // whose save failed.
  using MayWrite = std::function<Status()>;
  UploadQueue(transport::Backend& backend, MayWrite may_write, Log& log);
  // Waits for every save that was asked for.
  ~UploadQueue();
  UploadQueue(const UploadQueue&) = delete;
  UploadQueue& operator=(const UploadQueue&) = delete;

  void save(transport::FileName file, transport::SharedContent content, transport::StatusDone done);
  // Saves under way.
  std::size_t running() const;
  // Index files whose save has ended and that may be in the repository though they were to be removed again.
  // Hands them over.
  std::vector<transport::FileName> take_strays();

 private:
  struct Job {
    transport::FileName file;
    transport::SharedContent content;
    transport::StatusDone done;
  };
  void start(Job job);
  void take_back(const transport::FileName& file, const Error& reason, const transport::StatusDone& ended);

  transport::Backend& backend_;
  const MayWrite may_write_;
  Log& log_;
  const std::size_t at_once_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<Job> waiting_;                  // guarded by mutex_
  std::size_t running_ = 0;                  // guarded by mutex_
  std::vector<transport::FileName> strays_;  // guarded by mutex_
};

}  // namespace restic::repo
