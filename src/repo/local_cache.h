// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/unique_fd.h"
#include "repo/cache_log.h"
#include "repo/crypto.h"
#include "repo/id.h"

namespace restic::repo {

// The folder on the local disk where a repository's decoded metadata is kept between mounts, in sealed logs:
// one each for the index, the snapshots, the trees. CACHE_DIR/<repository id>/, mode 0700, ours alone;
// CACHE_DIR is marked with a CACHEDIR.TAG, so that backup programs pass it by. A folder that cannot be made
// or used, or that belongs to somebody else, is reported once, and the logs then do nothing. Thread-safe; the
// logs need the cache to live as long as they.
class LocalCache {
 public:
  // `cache_dir` "": no cache. The logger must outlive the cache and its logs.
  LocalCache(const std::string& cache_dir, const Id& repository, const Crypto& crypto, Log& log);

  bool usable() const { return static_cast<bool>(folder_); }
  // Opens the log of that name; once a process. `budget`: bytes of its file. Blocks on the disk while it
  // reads what is there.
  std::unique_ptr<CacheLog> open_log(const std::string& name, std::uint64_t budget);

 private:
  UniqueFd open_folder(const std::string& cache_dir);

  const Id repository_;
  const Crypto& crypto_;
  std::shared_ptr<CacheWarnings> warnings_;
  UniqueFd folder_;
};

}  // namespace restic::repo
