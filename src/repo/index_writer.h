// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "repo/index.h"

namespace restic::repo {

// Collects uploaded packs for the next index file and says when it is due (FORMAT: index): when it names
// 50000 blobs or its first pack has waited for 10 minutes, always whole packs. Thread-safe; blocks no longer
// than `write` does.
class IndexWriter {
 public:
  static constexpr std::size_t kMaxBlobs = 50000;
  static constexpr std::chrono::minutes kMaxAge{10};

  // `write` is called with the packs of one index file, never with none. Whoever finds that packs do not wait
  // here any more comes after that call: it is made under the lock, so it must be short and not call back.
  using Write = std::function<void(std::vector<PackEntry>)>;
  IndexWriter(const Clock& clock, Write write) : clock_(clock), write_(std::move(write)) {}
  IndexWriter(const IndexWriter&) = delete;
  IndexWriter& operator=(const IndexWriter&) = delete;

  // Only for packs that are durable.
  void add(PackEntry pack);
  // Writes what waits, however little.
  void flush();

 private:
  void write_all();

  const Clock& clock_;
  const Write write_;
  std::mutex mutex_;
  std::vector<PackEntry> packs_;  // guarded by mutex_, like the rest
  std::size_t blobs_ = 0;
  Clock::Instant first_added_{};
};

}  // namespace restic::repo
