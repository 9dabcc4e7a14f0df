// SPDX-License-Identifier: MIT
#pragma once

#include <mutex>

#include "base/error.h"

namespace restic::fs {

// A little space and a few inodes set aside on the disk of the state folder, so that what was copied into
// `new/` until the disk was full can still be committed, which frees it. They are a file `reserve` and empty
// ones `reserve.N`, which stay for the next mount. Thread-safe; blocks on the local disk.
class DiskReserve {
 public:
  static constexpr long kBytes = 1L << 20U;
  static constexpr int kInodes = 16;  // a seal needs three, and one for each folder that it carries over

  // Makes it, if there is room. The folder must outlive it.
  explicit DiskReserve(int folder);
  DiskReserve(const DiskReserve&) = delete;
  DiskReserve& operator=(const DiskReserve&) = delete;

  // What `step` returns. It may fail half-way and be run again: when it meets Error{Full}, the reserve is
  // given up and it has a second try.
  template <class Step>
  auto run(const Step& step) {
    restore();
    try {
      return step();
    } catch (const Error& error) {
      if (error.code() != Errc::Full || !give_up()) throw;
    }
    return step();
  }
  // Makes it again after it was given up, if there is room by now.
  void restore();

 private:
  bool give_up();  // false: there was none
  void unlink_all();

  const int folder_;
  std::mutex mutex_;
  bool held_ = false;
};

}  // namespace restic::fs
