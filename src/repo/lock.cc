// SPDX-License-Identifier: MIT
#include "repo/lock.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

// Real ones have 300 bytes.
constexpr std::uint64_t kMaxLockFile = 64U << 10U;
constexpr std::chrono::milliseconds kSettle{200};
// How long restic waits for a lock file that cannot be read, in case it is being replaced.
constexpr std::array<std::chrono::seconds, 3> kReadAgainAfter{
    std::chrono::seconds(5), std::chrono::seconds(10), std::chrono::seconds(20)};

// nullopt: the file is gone, or empty, which is what a crashed writer leaves and restic passes over.
std::optional<LockInfo> read_lock(Repository& repository, const FileName& file) {
  Bytes stored;
  try {
    stored = transport::load(repository.backend(), file, kMaxLockFile);
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound) return std::nullopt;
    throw;
  }
  if (stored.empty()) return std::nullopt;
  const Bytes json =
      open_sealed_file(repository.crypto(), repository.config().version, file, std::move(stored));
  return decode_lock(json, file.path());
}

std::string describe_holder(const LockInfo& lock) {
  return "process " + std::to_string(lock.pid) + " on " + lock.owner.hostname + " by " + lock.owner.username +
         " since " + format_time(lock.time.time, FixedZone(lock.time.zone_seconds));
}

// Throws when somebody else's exclusive lock is there.
void check_once(Repository& repository, std::span<const Id> ours) {
  for (const transport::FileInfo& info : transport::list(repository.backend(), FileType::Lock)) {
    const std::optional<Id> id = Id::from_hex(info.name);
    if (id && std::ranges::find(ours, *id) != ours.end()) continue;
    const std::optional<LockInfo> lock = read_lock(repository, {FileType::Lock, info.name});
    if (!lock || !lock->exclusive) continue;
    throw Error(Errc::Locked, "the repository is locked exclusively: " + describe_holder(*lock) + " (lock " +
                                  info.name.substr(0, 8) + ")");
  }
}

ZonedTime zoned_now(const Clock& clock) {
  const std::chrono::nanoseconds wall = clock.wall();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall);
  const Timestamp time{seconds.count(), static_cast<std::uint32_t>((wall - seconds).count())};
  return {time, LocalZone().offset_seconds(time.seconds)};
}

}  // namespace

Lock::Lock(Repository& repository, LockOwner owner, const LockJournal& journal, const Clock& clock)
    : repository_(repository), owner_(std::move(owner)), journal_(journal), clock_(clock) {}

void Lock::acquire() {
  remove_all_but(0);
  check_for_conflicts();
  try {
    write();
    clock_.sleep(kSettle);
    check_for_conflicts();
  } catch (...) {
    release();
    throw;
  }
}

void Lock::refresh() {
  write();
  remove_all_but(1);
}

void Lock::release() noexcept {
  {
    const std::lock_guard guard(mutex_);
    refreshed_.reset();
  }
  remove_all_but(0);
}

bool Lock::usable() const {
  const std::lock_guard guard(mutex_);
  return refreshed_ && clock_.now() - *refreshed_ < kUsableFor;
}

void Lock::check_for_conflicts() const {
  for (const std::chrono::seconds pause : kReadAgainAfter) {
    try {
      return check_once(repository_, ours_);
    } catch (const Error& error) {
      if (error.code() != Errc::Damaged) throw;
      repository_.log().warning(std::string("waiting for a lock that cannot be read: ") + error.what());
    }
    clock_.sleep(pause);
  }
  try {
    check_once(repository_, ours_);
  } catch (const Error& error) {
    if (error.code() != Errc::Damaged) throw;
    throw Error(Errc::Locked, std::string("the repository has a lock that cannot be read: ") + error.what());
  }
}

void Lock::write() {
  const Clock::Instant begun = clock_.now();
  const LockInfo lock{zoned_now(clock_), false, owner_, static_cast<std::uint64_t>(::getpid())};
  const auto stored = std::make_shared<const Bytes>(
      seal_file(repository_.crypto(), repository_.config().version, FileType::Lock, encode_lock(lock)));
  const Id id = Id::of(*stored);
  std::vector<Id> may_exist = ours_;
  may_exist.push_back(id);
  if (journal_) journal_(may_exist);
  // Noted before the write: an answer may be lost although the file is there.
  ours_ = std::move(may_exist);
  transport::save(repository_.backend(), {FileType::Lock, id.hex()}, stored);
  const std::lock_guard guard(mutex_);
  // A refresh that took too long does not count: others may have called the old lock stale and removed it.
  if (refreshed_ && clock_.now() - *refreshed_ >= kUsableFor) return;
  refreshed_ = begun;
}

bool Lock::remove(const Id& id) noexcept {
  try {
    transport::remove(repository_.backend(), {FileType::Lock, id.hex()});
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound) return true;
    repository_.log().warning(std::string("cannot remove a lock of ours: ") + error.what());
  } catch (const std::exception& error) {
    repository_.log().warning(std::string("cannot remove a lock of ours: ") + error.what());
  }
  return false;
}

// Removes our lock files but the newest ones; what cannot be removed stays known.
void Lock::remove_all_but(std::size_t newest) noexcept {
  if (ours_.size() <= newest) return;
  const auto end = ours_.end() - static_cast<std::ptrdiff_t>(newest);
  const auto gone = std::remove_if(ours_.begin(), end, [this](const Id& id) { return remove(id); });
  if (gone == end) return;
  ours_.erase(gone, end);
  try {
    if (journal_) journal_(ours_);
  } catch (const std::exception& error) {
    repository_.log().warning(std::string("cannot note that a lock is gone: ") + error.what());
  }
}

std::vector<Id> remove_left_over_locks(Repository& repository, const std::vector<Id>& names) {
  std::vector<Id> left;
  for (const Id& name : names) {
    try {
      transport::remove(repository.backend(), {FileType::Lock, name.hex()});
    } catch (const Error& error) {
      if (error.code() == Errc::NotFound) continue;
      repository.log().warning(std::string("cannot remove a left-over lock: ") + error.what());
      left.push_back(name);
    }
  }
  return left;
}

}  // namespace restic::repo
