// SPDX-License-Identifier: MIT
#include "fs/status.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace restic::fs {
namespace {

std::string line(std::string_view key, const std::string& value) {
  return std::string(key) + ": " + value + "\n";
}

const char* name_of(DropStatus::State state) {
  switch (state) {
    case DropStatus::State::Waiting:
      return "waiting";
    case DropStatus::State::Working:
      return "working";
    case DropStatus::State::Failed:
      return "failed, kept";
    case DropStatus::State::Durable:
      break;
  }
  return "durable";
}

std::string seconds(std::chrono::milliseconds time) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", static_cast<double>(time.count()) / 1000.0);
  return text.data();
}

std::string repository_text(const std::string& source, repo::Repository& repository) {
  const std::shared_ptr<const repo::Index> index = repository.index();
  const repo::Config& config = repository.config();
  std::string text = line("repository", source);
  text += line("repository id", config.id.hex());
  text += line("repository version", std::to_string(config.version));
  text += line("storage", repository.backend().describe());
  text +=
      line("index", std::to_string(index->files().size()) + " files, " + std::to_string(index->blob_count()) +
                        " blobs in " + std::to_string(index->pack_count()) + " packs, " +
                        human_bytes(index->memory_bytes()) + " of memory");
  if (!index->unreadable_files().empty()) {
    text += line("unreadable index files", std::to_string(index->unreadable_files().size()));
  }
  text += line("content", human_bytes(index->total_plain_bytes()) + ", stored as " +
                              human_bytes(index->total_stored_bytes()));
  return text;
}

std::string cache_text(const StatusSource& source, repo::Repository& repository, const Vfs& vfs) {
  const repo::BlobReaderStats stats = repository.blobs().stats();
  std::string text =
      line("memory cache", human_bytes(stats.cached_bytes) + " of " + human_bytes(stats.budget_bytes) + ", " +
                               human_bytes(stats.in_flight_bytes) + " in flight");
  text += line("blobs", std::to_string(stats.hits) + " from memory, " + std::to_string(stats.misses) +
                            " fetched: " + human_bytes(stats.fetched_bytes) + " in " +
                            std::to_string(stats.requests) + " requests");
  const std::optional<std::uint64_t> on_disk = repository.local_cache_bytes();
  text += line("local cache", on_disk ? human_bytes(*on_disk) + " of " + human_bytes(source.cache_bytes) +
                                            " in " + source.cache_dir
                                      : "none");
  text += line("nodes known to the kernel", std::to_string(vfs.known_nodes()));
  return text;
}

std::string staging_text(const StagingFacts& staging) {
  std::string text = line("state folder", staging.state_dir);
  std::string content = staging.something_staged ? "not committed yet" : "empty";
  if (staging.open_for_writing) content += ", files are open for writing";
  text += line("new", content);
  for (const std::string& problem : staging.problems) text += line("problem", problem);
  for (const DropStatus& drop : staging.drops) text += "\n" + drop_text(drop);
  return text;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::string drop_text(const DropStatus& drop) {
  std::string text = line("drop", drop.tray);
  text += line("state", name_of(drop.state));
  if (drop.snapshot) text += line("snapshot", drop.snapshot->hex());
  text += line("files", std::to_string(drop.files_done) + " of " + std::to_string(drop.files_total));
  text += line("bytes", human_bytes(drop.bytes_done) + " of " + human_bytes(drop.bytes_total) + ", " +
                            human_bytes(drop.bytes_uploaded) + " uploaded");
  if (drop.working_for.count() > 0) {
    const auto milliseconds = static_cast<std::uint64_t>(drop.working_for.count());
    text += line(
        "time", seconds(drop.working_for) + ", " + human_bytes(drop.bytes_done * 1000 / milliseconds) + "/s");
  }
  if (drop.files_changed_while_read > 0) {
    text += line("files changed while read", std::to_string(drop.files_changed_while_read));
  }
  if (drop.files_unreadable > 0)
    text += line("files left out as unreadable", std::to_string(drop.files_unreadable));
  if (!drop.error.empty()) text += line("error", drop.error);
  if (drop.state == DropStatus::State::Failed) text += line("next try in", seconds(drop.next_try_in));
  return text;
}

std::string status_text(const StatusSource& source, repo::Repository& repository, const Vfs& vfs,
                        const Log& log, const StagingFacts* staging) {
  std::string text = repository_text(source.repository, repository);
  text += "\n" + cache_text(source, repository, vfs);
  const std::string problem = log.last_problem();
  if (!problem.empty()) text += "\n" + line("last problem", problem);
  if (staging != nullptr) text += "\n" + staging_text(*staging);
  return text;
}

}  // namespace restic::fs
