// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "repo/id.h"

namespace restic::repo {

// Gets a fresh index for readers whose pack turned out to be missing or damaged, because a prune may have
// moved its blobs. One refresh serves all who ask while it is due, and between two there is `pause`. A pack
// causes one that succeeds and then, while it keeps being asked for, another every kVerdictHolds at most: a
// prune may come at any time. Works on a thread of its own, made when it is first needed. Thread-safe; asking
// never blocks.
class IndexRefresher {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Clock = std::function<Time()>;
  static constexpr std::chrono::minutes kVerdictHolds{5};

  // `refresh` may block on the network and throw Error. `log` must outlive the refresher. `clock` says how
  // old a verdict is.
  IndexRefresher(std::function<void()> refresh, std::chrono::milliseconds pause, Log& log,
                 Clock clock = &std::chrono::steady_clock::now);
  // Waits for a running refresh; what was asked by now is still answered.
  ~IndexRefresher();
  IndexRefresher(const IndexRefresher&) = delete;
  IndexRefresher& operator=(const IndexRefresher&) = delete;

  // Calls `then` on the refresher's thread once the index is as fresh as it gets for this pack.
  void ask(const Id& failed_pack, std::function<void()> then);

 private:
  // More packs than this and the oldest verdicts are forgotten, all at once.
  static constexpr std::size_t kMostPacks = 4096;

  struct Asked {
    Id pack;
    std::function<void()> then;
  };

  void work();
  bool take_asked(std::vector<Asked>& asked);  // blocks; false: it is over
  bool refresh();                              // false: it failed
  bool any_is_due(const std::vector<Asked>& asked) const;
  void remember(const std::vector<Asked>& asked, Time refreshed);
  bool pause_after_last_refresh();  // false: it is over

  const std::function<void()> refresh_;
  const std::chrono::milliseconds pause_;
  Log& log_;
  const Clock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Asked> asked_;
  bool stopping_ = false;
  std::unordered_map<Id, Time, IdHash> refreshed_for_;  // and when; the thread's own
  std::optional<Time> last_;                            // the thread's own
  std::thread thread_;
};

}  // namespace restic::repo
