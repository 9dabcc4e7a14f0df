// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

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
  // log must outlive the spool, and the spool what it hands out.
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
  class SpooledPack;
  struct Job {
    SharedBytes pack;
    Id name;
    Ready ready;
  };
  bool take_room(std::uint64_t bytes);
  void give_back(std::uint64_t bytes, UniqueFd file) noexcept;
  void run(const std::stop_token& stop);
  UniqueFd take_file();
  transport::SharedContent write(const Bytes& pack, const Id& name) noexcept;

  const int folder_;
  Log& log_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool works_;              // guarded by mutex_, like the rest: there are files without a name
  std::uint64_t used_ = 0;  // bytes
  std::deque<Job> jobs_;
  std::vector<UniqueFd> unused_;  // to be written over, which is cheaper than new ones
  std::jthread writer_;           // started when first needed
};

}  // namespace restic::repo
