// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/unique_fd.h"
#include "repo/id.h"
#include "transport/content.h"

namespace restic::repo {

// Where packs wait on the local disk until a slow storage has taken them, so that many can be on their way in
// little memory. They are sealed, in files without a name that go with the process, and hashed again while
// they are read: what the disk gives back changed is not saved. Thread-safe.
class PackSpool {
 public:
  // Bytes on the disk at one time.
  static constexpr std::uint64_t kMost = 128U << 20U;
  // The last bytes of the disk are for what is dragged in.
  static constexpr std::uint64_t kLeftFree = 1U << 30U;

  // Files are made in `folder`, a descriptor; -1: there is none, and all stays in memory. The folder and the
  // log must outlive the spool; what it hands out may be kept longer.
  PackSpool(int folder, Log& log);
  // Does first what was asked for.
  ~PackSpool();
  PackSpool(const PackSpool&) = delete;
  PackSpool& operator=(const PackSpool&) = delete;

  // Writes the pack to the disk on the spool's thread and lets go of it. Then `ready` is called, which must
  // not throw: with what is to be saved, or with null and the pack when it has to stay in memory. Where that
  // is clear from the beginning, `ready` is called at once, on this thread.
  using Ready = std::function<void(transport::SharedContent on_disk, SharedBytes in_memory)>;
  void put(SharedBytes pack, const Id& name, const Ready& ready);

 private:
  class Room;
  class SpooledPack;
  struct Job {
    SharedBytes pack;
    Id name;
    Ready ready;
  };
  bool disk_has_room() const;
  void run(const std::stop_token& stop);
  transport::SharedContent write(const Bytes& pack, const Id& name) noexcept;

  const int folder_;
  Log& log_;
  const std::shared_ptr<Room> room_;
  std::atomic<bool> works_;  // there are files without a name
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_;  // guarded by mutex_
  std::jthread writer_;   // started when first needed, guarded by mutex_
};

}  // namespace restic::repo
