// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "repo/cpu_pool.h"
#include "transport/backend.h"

namespace restic::repo {

// Loads whole files of one type, as many at once as the backend makes useful, and hands each to
// `each(position, content or error)` on a pool thread or one that the backend lends, in no order and several
// at a time. At most twice the backend's parallelism are in memory, and no more of them than have 64 MiB by
// their listed sizes, but always one; a file of more than `limit` bytes, or of more than were listed, is an
// error. Blocks until all are handled. `each` must not throw. Throws Cancelled as soon as `stop` is asked
// for: loads under way are abandoned, `each` is not called any more.
void load_files(transport::Backend& backend, CpuPool& pool, transport::FileType type,
                std::span<const transport::FileInfo> files, std::uint64_t limit,
                const std::function<void(std::size_t, Result<Bytes>)>& each,
                const std::stop_token& stop = {});

}  // namespace restic::repo
