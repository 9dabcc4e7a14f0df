// SPDX-License-Identifier: MIT
#include "repo/file_memory.h"

#include <algorithm>
#include <utility>

#include "repo/node_reader.h"

namespace restic::repo {
namespace {

// About 150 bytes each, and 32 for each chunk.
constexpr std::size_t kMaxFiles = 500000;

}  // namespace

void FileMemory::begin_reading(const FileKey& file) {
  const std::lock_guard lock(mutex_);
  Reading& reading = reading_[file];
  // Whoever begins after a change sees the file as it is after it, but shares the mark with those who began
  // before.
  ++reading.readers;
}

bool FileMemory::try_begin_reading(const FileKey& file, std::uint64_t wanted) {
  const std::lock_guard lock(mutex_);
  const auto [reading, fresh] = reading_.try_emplace(file, Reading{1});
  if (!fresh) reading->second.wanted = std::max(reading->second.wanted, wanted);
  return fresh;
}

bool FileMemory::begin_reading_next(const FileKey& file, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (reading_.try_emplace(file, Reading{1}).second) return true;
  if (!next_.insert(file).second) return false;
  const bool free = read_.wait(lock, stop, [&] { return !reading_.contains(file); });
  next_.erase(file);
  return free && reading_.try_emplace(file, Reading{1}).second;
}

void FileMemory::end_reading(const struct stat& facts, const StoredFile* result) {
  const std::lock_guard lock(mutex_);
  const bool unchanged = end_reading(FileKey::of(facts));
  const bool whole = result != nullptr && result->size == static_cast<std::uint64_t>(facts.st_size);
  if (unchanged && whole) remember(facts, *result, true);
}

std::uint64_t FileMemory::end_reading_beginning(const struct stat& facts, const StoredFile* result) {
  const std::lock_guard lock(mutex_);
  const FileKey key = FileKey::of(facts);
  const auto reading = reading_.find(key);
  const std::uint64_t wanted = reading == reading_.end() ? 0 : std::exchange(reading->second.wanted, 0);
  if (!end_reading(key)) return 0;
  if (result == nullptr) return wanted;
  const auto known = entries_.find(key);
  if (known == entries_.end() || (!known->second.whole && known->second.size < result->size)) {
    remember(facts, *result, false);
  }
  return wanted;
}

// With mutex_ held. Whether the file was as it is all the time.
bool FileMemory::end_reading(const FileKey& file) {
  const auto reading = reading_.find(file);
  if (reading == reading_.end()) return false;
  const bool changed = reading->second.changed;
  if (--reading->second.readers == 0) {
    reading_.erase(reading);
    read_.notify_all();
  }
  return !changed;
}

// With mutex_ held.
void FileMemory::remember(const struct stat& facts, const StoredFile& file, bool whole) {
  const FileKey key = FileKey::of(facts);
  const std::uint64_t serial = next_serial_++;
  entries_[key] = {file.size, to_timestamp(facts.st_mtim), to_timestamp(facts.st_ctim), file, whole, serial};
  ages_.emplace_back(key, serial);
  drop_oldest();
}

void FileMemory::await_readers(const FileKey& file, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  read_.wait(lock, stop, [&] { return !reading_.contains(file); });
}

std::optional<StoredFile> FileMemory::find(const struct stat& facts) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(FileKey::of(facts));
  if (found == entries_.end()) return std::nullopt;
  const Entry& entry = found->second;
  if (!entry.whole) return std::nullopt;
  if (entry.size != static_cast<std::uint64_t>(facts.st_size)) return std::nullopt;
  if (!changes_are_reported_ &&
      (entry.mtime != to_timestamp(facts.st_mtim) || entry.ctime != to_timestamp(facts.st_ctim))) {
    return std::nullopt;
  }
  return entry.file;
}

std::optional<StoredFile> FileMemory::find_beginning(const FileKey& file) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(file);
  if (!changes_are_reported_ || found == entries_.end() || found->second.whole) return std::nullopt;
  return found->second.file;
}

void FileMemory::changed(const FileKey& file) {
  const std::lock_guard lock(mutex_);
  entries_.erase(file);
  if (const auto reading = reading_.find(file); reading != reading_.end()) reading->second.changed = true;
}

void FileMemory::forget(const FileKey& file) {
  const std::lock_guard lock(mutex_);
  entries_.erase(file);
}

void FileMemory::drop_oldest() {
  const auto is_outdated = [this](const std::pair<FileKey, std::uint64_t>& age) {
    const auto entry = entries_.find(age.first);
    return entry == entries_.end() || entry->second.serial != age.second;
  };
  if (ages_.size() > 2 * entries_.size() + 64) std::erase_if(ages_, is_outdated);
  while (entries_.size() > kMaxFiles) {
    if (!is_outdated(ages_.front())) entries_.erase(ages_.front().first);
    ages_.pop_front();
  }
}

}  // namespace restic::repo
