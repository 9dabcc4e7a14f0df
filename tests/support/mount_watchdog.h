// SPDX-License-Identifier: MIT
#pragma once

#include <sys/mount.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

namespace restic::test {

// Cuts a mount off that a test of this very process still has after 100 seconds. A thread that waits for its
// own process in the kernel could not even be killed: the mount ends with the process, and the process not
// before that thread. So the test fails instead of hanging for ever. Until destroyed or assigned to.
class MountWatchdog {
 public:
  MountWatchdog() = default;
  explicit MountWatchdog(std::filesystem::path mountpoint)
      : thread_([place = std::move(mountpoint)](const std::stop_token& stop) {
          std::mutex mutex;
          std::condition_variable_any stopped;
          std::unique_lock lock(mutex);
          stopped.wait_for(lock, stop, std::chrono::seconds(100), [] { return false; });
          if (!stop.stop_requested()) ::umount2(place.c_str(), MNT_FORCE);
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace restic::test
