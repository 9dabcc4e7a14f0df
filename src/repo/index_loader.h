// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "base/log.h"
#include "repo/compact_index.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "transport/backend.h"

namespace restic::repo {

class IndexCache;

// Makes the index of what the repository's index files say now. One damaged file does not take the others
// away: whoever reads a backup from a half-broken disk wants everything that is left. Such files are logged
// once and named by CompactIndex::unreadable_files(). Whatever concerns the whole repository (it cannot be
// listed, the remote is down) is an error instead: then nothing is known about what is missing.
class IndexLoader {
 public:
  // Index files loaded of all that must be; called on the thread that called load(). When everything is there
  // `done` is `total`, once; when load() fails, never.
  using Progress = std::function<void(std::size_t done, std::size_t total)>;

  // Everything must outlive the loader; `cache` may be null.
  IndexLoader(transport::Backend& backend, const Crypto& crypto, unsigned repository_version, CpuPool& pool,
              Log& log, IndexCache* cache);

  // Blocks. Loads the index files that neither `previous` (may be null) nor the cache has, as many at once as
  // the backend likes, decodes each on the pool as it arrives, and forgets those that have vanished. Returns
  // `previous` itself when nothing has changed. Bytes fetched and not yet decoded are bounded. Throws
  // Cancelled as soon as `stop` is asked for (what is under way is abandoned), Unavailable, Timeout and other
  // errors of the backend's list, Damaged when there are index files and none of them can be read. May be
  // called from any thread, by one at a time.
  std::shared_ptr<const CompactIndex> load(const std::shared_ptr<const CompactIndex>& previous,
                                           const Progress& progress, const std::stop_token& stop);

 private:
  transport::Backend& backend_;
  const Crypto& crypto_;
  unsigned repository_version_;
  CpuPool& pool_;
  Log& log_;
  IndexCache* cache_;
};

}  // namespace restic::repo
