// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace restic::transport {

// Lets one request read a file for the first time while others for the same file wait. rclone asks the remote
// about a file before it reads from it, and remembers the answer; requests that come together all ask. Each
// question costs a round trip, and some remotes are asked a hundred times a second at most. Thread-safe;
// never blocks.
class FirstLook {
 public:
  // `looks`: the end of it has to be told with over().
  using Go = std::function<void(bool looks)>;

  // Calls `go` now if nobody is looking at this file for the first time, if it is known, or if the request
  // may not wait; else when the look is over, on the thread that says so.
  void enter(const std::string& path, bool may_wait, Go go);
  // The answer has begun, or there is none: not `found`.
  void over(const std::string& path, bool found);

 private:
  struct Look {
    std::size_t under_way = 0;
    std::vector<Go> waiting;
  };

  void remember(const std::string& path) noexcept;

  std::mutex mutex_;
  std::unordered_map<std::string, Look> looks_;  // guarded by mutex_, like the next
  std::unordered_set<std::size_t> known_;        // hashes of paths: a wrong one costs a question, no more
};

}  // namespace restic::transport
