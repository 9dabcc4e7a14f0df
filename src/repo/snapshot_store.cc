// SPDX-License-Identifier: MIT
#include "repo/snapshot_store.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "repo/load_files.h"
#include "repo/sealed_file.h"
#include "transport/blocking.h"

namespace restic::repo {

using transport::FileType;

namespace {

// Says that nobody could be asked, and nothing about a file.
bool says_nobody_answers(Errc code) {
  return code == Errc::Unavailable || code == Errc::Timeout || code == Errc::Cancelled;
}

}  // namespace

SnapshotStore::SnapshotStore(const Crypto& crypto, unsigned version, CpuPool& pool, Log& log, CacheLog* cache)
    : crypto_(crypto), version_(version), pool_(pool), log_(log), cache_(cache) {}

SnapshotList SnapshotStore::load(transport::Backend& backend, const std::stop_token& stop,
                                 const std::function<void()>& missing_some) {
  const auto load_missing = [&] {
    std::vector<transport::FileInfo> missing =
        forget_vanished(transport::list(backend, FileType::Snapshot, stop));
    take_from_cache(missing);
    if (missing_some && any_new(missing)) missing_some();
    load_all(backend, missing, stop);
  };
  loading_.run(load_missing, stop);
  return list();
}

// Besides those that could not be read before.
bool SnapshotStore::any_new(const std::vector<transport::FileInfo>& missing) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(missing, [this](const transport::FileInfo& file) {
    return !unreadable_.contains(*Id::from_hex(file.name));
  });
}

void SnapshotStore::load_all(transport::Backend& backend, std::span<const transport::FileInfo> files,
                             const std::stop_token& stop) {
  std::mutex mutex;
  std::vector<transport::FileInfo> again;
  const auto first_time = [&](const transport::FileInfo& file, Result<Bytes> content) {
    const Status added = add(file, std::move(content));
    if (added.ok()) return;
    if (!may_be_better_next_time(file, added.error())) return reject(file, added.error());
    const std::lock_guard lock(mutex);
    again.push_back(file);
  };
  const auto last_time = [&](const transport::FileInfo& file, Result<Bytes> content) {
    const Status added = add(file, std::move(content));
    if (!added.ok()) reject(file, added.error());
  };
  load_each(backend, files, first_time, stop);
  load_each(backend, again, last_time, stop);
}

// The first outage ends it: the other files would only wait for the same.
void SnapshotStore::load_each(transport::Backend& backend, std::span<const transport::FileInfo> files,
                              const Taker& taker, const std::stop_token& stop) {
  std::stop_source over;
  const std::stop_callback also_over(stop, [&over] { over.request_stop(); });
  std::mutex mutex;
  std::optional<Error> outage;
  const auto take = [&](std::size_t position, Result<Bytes> content) {
    if (content.ok() || !says_nobody_answers(content.error().code())) {
      return taker(files[position], std::move(content));
    }
    {
      std::lock_guard lock(mutex);
      if (!outage) outage = content.error();
    }
    over.request_stop();
  };
  try {
    load_files(backend, pool_, FileType::Snapshot, files, kMaxSnapshotFile, take, over.get_token());
  } catch (const Error&) {
    if (!outage) throw;
  }
  if (outage) throw Error(*outage);
}

std::vector<transport::FileInfo> SnapshotStore::forget_vanished(
    const std::vector<transport::FileInfo>& files) {
  std::vector<transport::FileInfo> missing;
  std::unordered_set<Id, IdHash> listed;
  std::lock_guard lock(mutex_);
  for (const transport::FileInfo& file : files) {
    const auto id = Id::from_hex(file.name);
    if (!id || !listed.insert(*id).second) continue;
    if (!known_.contains(*id)) missing.push_back(file);
  }
  std::erase_if(known_, [&](const auto& entry) { return !listed.contains(entry.first); });
  std::erase_if(unreadable_, [&](const Id& id) { return !listed.contains(id); });
  return missing;
}

// Leaves in `missing` what the cache does not have.
void SnapshotStore::take_from_cache(std::vector<transport::FileInfo>& missing) {
  if (cache_ == nullptr) return;
  std::erase_if(missing, [&](const transport::FileInfo& file) {
    const Id id = *Id::from_hex(file.name);
    const std::optional<Bytes> json = cache_->get(id);
    if (!json) return false;
    try {
      auto snapshot = std::make_shared<const Snapshot>(decode_snapshot(id, *json));
      std::lock_guard lock(mutex_);
      known_.emplace(id, std::move(snapshot));
      return true;
    } catch (const Error&) {
      return false;  // the repository has the last word
    }
  });
}

// On one of several threads, as all that follows.
Status SnapshotStore::add(const transport::FileInfo& listed, Result<Bytes> content) {
  const Id id = *Id::from_hex(listed.name);
  const transport::FileName file{FileType::Snapshot, listed.name};
  try {
    const Bytes json = open_sealed_file(crypto_, version_, file, content.take());
    auto snapshot = std::make_shared<const Snapshot>(decode_snapshot(id, json));
    if (cache_ != nullptr) cache_->put(id, json);
    std::lock_guard lock(mutex_);
    known_.emplace(id, std::move(snapshot));
    unreadable_.erase(id);
    return Unit{};
  } catch (const Error& error) {
    return error;
  } catch (const std::exception&) {
    return Error(Errc::Io, file.path() + ": no memory to decode it");
  }
}

bool SnapshotStore::may_be_better_next_time(const transport::FileInfo& file, const Error& error) const {
  std::lock_guard lock(mutex_);
  return error.code() == Errc::Damaged && !unreadable_.contains(*Id::from_hex(file.name));
}

// A file that cannot be read is tried again by the next load, but logged once.
void SnapshotStore::reject(const transport::FileInfo& file, const Error& error) {
  if (error.code() == Errc::NotFound) return;  // forgotten since it was listed
  const Id id = *Id::from_hex(file.name);
  bool news = false;
  {
    std::lock_guard lock(mutex_);
    news = unreadable_.insert(id).second;
  }
  if (news) log_.warning("snapshot " + id.short_hex() + " cannot be read: " + error.what());
}

SnapshotList SnapshotStore::list() const {
  std::vector<SnapshotPtr> sorted;
  SnapshotList list;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, snapshot] : known_) sorted.push_back(snapshot);
    list.unreadable.assign(unreadable_.begin(), unreadable_.end());
  }
  std::sort(sorted.begin(), sorted.end(), [](const SnapshotPtr& a, const SnapshotPtr& b) {
    return std::tie(a->time, a->id) < std::tie(b->time, b->id);
  });
  list.snapshots.reserve(sorted.size());
  for (const SnapshotPtr& snapshot : sorted) list.snapshots.push_back(*snapshot);
  return list;
}

}  // namespace restic::repo
