// SPDX-License-Identifier: MIT
#include "repo/snapshot_file.h"

#include <string>
#include <utility>

#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

FileName file_of(const Bytes& stored) { return {FileType::Snapshot, Id::of(stored).hex()}; }

Snapshot decode(Repository& repository, const Bytes& stored) {
  return decode_snapshot(Id::of(stored), open_sealed_file(repository.crypto(), repository.config().version,
                                                          file_of(stored), stored));
}

void take_back(Repository& repository, const FileName& file) noexcept {
  try {
    transport::remove(repository.backend(), file);
    repository.log().warning(file.path() + " is removed again: it was written after its lock was lost");
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound) return;
    repository.log().error(file.path() +
                           " was written after its lock was lost and cannot be removed: " + error.what());
  } catch (const std::exception& error) {
    repository.log().error(std::string("a snapshot written too late cannot be removed: ") + error.what());
  }
}

}  // namespace

std::optional<Snapshot> open_kept_snapshot(Repository& repository, const Bytes& stored) {
  if (stored.empty()) return std::nullopt;
  try {
    return decode(repository, stored);
  } catch (const Error& error) {
    repository.log().warning(std::string("the snapshot of an earlier try is of no use: ") + error.what());
    return std::nullopt;
  }
}

std::optional<Snapshot> find_kept_snapshot(Repository& repository, const Bytes& stored) {
  if (stored.empty()) return std::nullopt;
  try {
    const Bytes there = transport::load(repository.backend(), file_of(stored), kMaxSnapshotFile);
    if (there != stored) return std::nullopt;
    return decode(repository, there);
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound || error.code() == Errc::Damaged) return std::nullopt;
    throw;
  }
}

void save_snapshot(Repository& repository, const WriteSessions::Lease& lease, const SharedBytes& stored) {
  const FileName file = file_of(*stored);
  lease.check_lock();
  try {
    transport::save(repository.backend(), file, stored);
  } catch (const Error&) {
    if (!lease.has_lock()) take_back(repository, file);  // its answer may be what was lost
    throw;
  }
  if (!lease.has_lock()) {
    take_back(repository, file);
    throw lock_lost();
  }
  if (transport::load(repository.backend(), file, kMaxSnapshotFile) != *stored) {
    throw Error(Errc::Damaged, file.path() + " did not read back as it was written");
  }
}

}  // namespace restic::repo
