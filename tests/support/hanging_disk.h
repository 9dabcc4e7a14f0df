// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "support/temporary_folder.h"

namespace restic::test {

// A mounted file system that takes every question and answers none, so that not even SIGKILL ends who asks.
class HangingDisk {
 public:
  HangingDisk() : device_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    const std::string options =
        "fd=" + std::to_string(device_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    if (!device_ ||
        ::mount("hanging", folder_.path().c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
      throw std::runtime_error("cannot mount a file system");
    thread_ = std::thread([this] { take_questions(); });
  }
  // Whoever waits gets an error.
  ~HangingDisk() {
    ::umount2(folder_.path().c_str(), MNT_FORCE);
    ::umount2(folder_.path().c_str(), MNT_DETACH);
    thread_.join();
  }
  HangingDisk(const HangingDisk&) = delete;
  HangingDisk& operator=(const HangingDisk&) = delete;

  bool was_asked() const { return asked_; }
  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  void take_questions() {
    std::vector<char> question(FUSE_MIN_READ_BUFFER + (1U << 20U));
    while (::read(device_.get(), question.data(), question.size()) > 0) {
      const auto* header = reinterpret_cast<const fuse_in_header*>(question.data());
      if (header->opcode != FUSE_INIT) {
        asked_ = true;
        continue;
      }
      struct {
        fuse_out_header header;
        fuse_init_out body;
      } answer{};
      answer.header.len = sizeof answer;
      answer.header.unique = header->unique;
      answer.body.major = FUSE_KERNEL_VERSION;
      answer.body.minor = FUSE_KERNEL_MINOR_VERSION;
      answer.body.max_write = 4096;
      (void)!::write(device_.get(), &answer, sizeof answer);
    }
  }

  TemporaryFolder folder_;
  UniqueFd device_;
  std::atomic<bool> asked_ = false;
  std::thread thread_;
};

}  // namespace restic::test
