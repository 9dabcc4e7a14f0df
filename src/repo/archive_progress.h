// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

namespace restic::repo {

// How far an archive run is: what `.status` and umount show. Written by the archiver, read by anybody.
struct ArchiveProgress {
  std::atomic<std::uint64_t> files_done{0}, files_total{0};
  std::atomic<std::uint64_t> bytes_done{0},
      bytes_total{0};                            // plain bytes of files chunked or found stored already
  std::atomic<std::uint64_t> bytes_uploaded{0};  // sealed bytes the backend has confirmed meanwhile
  std::atomic<std::uint64_t> files_changed_while_read{0}, files_unreadable{0};
};

}  // namespace restic::repo
