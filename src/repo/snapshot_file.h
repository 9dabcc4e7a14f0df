// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "base/bytes.h"
#include "repo/repository.h"
#include "repo/snapshot.h"
#include "repo/write_session.h"

namespace restic::repo {

// The snapshot that sealed bytes kept from an earlier try stand for; nullopt, logged, when they do not open.
std::optional<Snapshot> open_kept_snapshot(Repository& repository, const Bytes& stored);

// The same snapshot if its file is in the repository. Blocks; throws what hinders asking.
std::optional<Snapshot> find_kept_snapshot(Repository& repository, const Bytes& stored);

// Writes the file of a snapshot whose blobs are all durable and reads it back. Blocks. A file that arrives
// after the lock was lost is removed again, as far as that can be done: a prune that ran meanwhile did not
// know of it. Throws Locked then, Damaged when it reads back differently, and what the backend throws.
void save_snapshot(Repository& repository, const WriteSessions::Lease& lease, const SharedBytes& stored);

}  // namespace restic::repo
