// SPDX-License-Identifier: MIT
#include "support/fake_snapshot_maker.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"

namespace restic::test {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;

std::string content_of(const stdfs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::map<std::string, std::string> files_below(const stdfs::path& top) {
  std::map<std::string, std::string> files;
  for (const auto& entry : stdfs::recursive_directory_iterator(top)) {
    const std::string name = entry.path().lexically_relative(top).string();
    if (entry.is_symlink()) {
      files[name] = "-> " + stdfs::read_symlink(entry.path()).string();
    } else {
      files[name] = entry.is_directory() ? "/" : content_of(entry.path());
    }
  }
  return files;
}

}  // namespace

void FakeSnapshotMaker::store_ahead(UniqueFd fd) {
  std::string content = content_of("/proc/self/fd/" + std::to_string(fd.get()));
  const std::lock_guard lock(mutex_);
  stored_.push_back(std::move(content));
  changed_.notify_all();
}

void FakeSnapshotMaker::store_beginning(UniqueFd, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  beginnings_.insert(bytes);
  changed_.notify_all();
}

void FakeSnapshotMaker::content_changed(std::uint64_t, std::uint64_t) {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

void FakeSnapshotMaker::leave_out(unsigned files) {
  const std::lock_guard lock(mutex_);
  left_out_ = files;
}

repo::Snapshot FakeSnapshotMaker::archive(int folder, const repo::ArchiveOptions& options,
                                          repo::ArchiveProgress& progress, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  ++tries_;
  changed_.notify_all();
  const std::stop_callback wake(stop, [this] { changed_.notify_all(); });
  while (held_ && !stop.stop_requested()) changed_.wait_for(lock, 10ms);
  if (stop.stop_requested()) throw Error(Errc::Cancelled, "told to stop");
  if (!failures_.empty()) {
    Error failure = failures_.front();
    failures_.pop_front();
    throw Error(failure);
  }
  progress.files_unreadable = left_out_;
  repo::Snapshot snapshot;
  snapshot.id = repo::Id::of(options.earlier_snapshot);
  if (!snapshots_.contains(snapshot.id)) {
    const std::string stored = "snapshot " + std::to_string(tries_) + " of " + std::to_string(folder);
    snapshot.id = repo::Id::of(as_bytes(stored));
    options.before_snapshot(snapshot.id, as_bytes(stored));
    snapshots_.insert(snapshot.id);
    drops_.push_back({files_below("/proc/self/fd/" + std::to_string(folder) + "/"), options});
  }
  changed_.notify_all();
  if (fail_after_snapshot_ > 0) {
    --fail_after_snapshot_;
    throw Error(Errc::Unavailable, "cut off behind the snapshot");
  }
  lock.unlock();
  if (options.when_durable) options.when_durable(snapshot);
  return snapshot;
}

std::vector<repo::Id> FakeSnapshotMaker::remove_left_over_locks(const std::vector<repo::Id>& names) {
  const std::lock_guard lock(mutex_);
  removed_locks_.insert(removed_locks_.end(), names.begin(), names.end());
  return {};
}

void FakeSnapshotMaker::fail_next(Errc code, const std::string& message) {
  const std::lock_guard lock(mutex_);
  failures_.emplace_back(code, message);
}

void FakeSnapshotMaker::fail_after_snapshot(unsigned times) {
  const std::lock_guard lock(mutex_);
  fail_after_snapshot_ = times;
}

void FakeSnapshotMaker::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void FakeSnapshotMaker::let_go() {
  const std::lock_guard lock(mutex_);
  held_ = false;
  changed_.notify_all();
}

std::vector<FakeSnapshotMaker::Drop> FakeSnapshotMaker::drops() const {
  const std::lock_guard lock(mutex_);
  return drops_;
}

unsigned FakeSnapshotMaker::tries() const {
  const std::lock_guard lock(mutex_);
  return tries_;
}

bool FakeSnapshotMaker::wait_for_drops(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 60s, [&] { return drops_.size() >= count; });
}

bool FakeSnapshotMaker::wait_for_tries(unsigned count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 60s, [&] { return tries_ >= count; });
}

unsigned FakeSnapshotMaker::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

bool FakeSnapshotMaker::wait_for_changes(unsigned count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 60s, [&] { return changes_ >= count; });
}

bool FakeSnapshotMaker::wait_for_stored(const std::string& content) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(
      lock, 60s, [&] { return std::find(stored_.begin(), stored_.end(), content) != stored_.end(); });
}

std::set<std::uint64_t> FakeSnapshotMaker::beginnings() const {
  const std::lock_guard lock(mutex_);
  return beginnings_;
}

bool FakeSnapshotMaker::wait_for_beginning(std::uint64_t bytes) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 60s, [&] { return beginnings_.contains(bytes); });
}

std::vector<std::string> FakeSnapshotMaker::stored_ahead() const {
  const std::lock_guard lock(mutex_);
  return stored_;
}

std::vector<repo::Id> FakeSnapshotMaker::removed_locks() const {
  const std::lock_guard lock(mutex_);
  return removed_locks_;
}

}  // namespace restic::test
