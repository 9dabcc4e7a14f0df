// SPDX-License-Identifier: MIT
#include "repo/index_loader.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "repo/index_cache.h"
#include "repo/index_fetch.h"
#include "transport/blocking.h"

namespace restic::repo {

namespace {

using FileList = std::vector<transport::FileInfo>;

transport::Answer<FileList> start_list(transport::Backend& backend) {
  transport::Answer<FileList> listing;
  backend.list(transport::FileType::Index, listing.done());
  return listing;
}

FileList finish_list(transport::Answer<FileList> listing, const std::stop_token& stop) {
  FileList files = listing.wait(stop);
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  const auto same_name = [](const auto& a, const auto& b) { return a.name == b.name; };
  files.erase(std::unique(files.begin(), files.end(), same_name), files.end());
  return files;
}

// What is known of the repository's index while it is being put together.
struct Collection {
  std::map<Id, IndexSegmentPtr> known;  // from the previous index, the cache and the repository
  std::vector<IndexSegmentPtr> fetched;
  std::vector<UnreadableIndexFile> unreadable;
};

FileList not_known(const Collection& collection, const FileList& listed) {
  FileList wanted;
  for (const transport::FileInfo& file : listed) {
    const std::optional<Id> id = Id::from_hex(file.name);
    if (id && !collection.known.contains(*id)) wanted.push_back(file);
  }
  // Large ones first: the last to be decoded should not be the one that takes longest.
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const auto& a, const auto& b) { return a.size > b.size; });
  return wanted;
}

// Takes the outcomes in. True: a file that was listed is not there any more.
bool take_in(std::vector<IndexFetch::Outcome> outcomes, Collection& collection) {
  bool vanished = false;
  collection.unreadable.clear();
  for (IndexFetch::Outcome& outcome : outcomes) {
    if (outcome.segment) {
      collection.known.emplace(outcome.segment->file(), outcome.segment);
      collection.fetched.push_back(std::move(outcome.segment));
      continue;
    }
    vanished = vanished || outcome.error->code() == Errc::NotFound;
    collection.unreadable.push_back(
        {.file = Id::from_hex(outcome.file.name).value(), .reason = outcome.error->what()});
  }
  return vanished;
}

// Those of the listed files, out of all that is known.
std::vector<IndexSegmentPtr> listed_segments(const Collection& collection, const FileList& listed) {
  std::vector<IndexSegmentPtr> segments;
  for (const transport::FileInfo& file : listed) {
    const std::optional<Id> id = Id::from_hex(file.name);
    const auto found = id ? collection.known.find(*id) : collection.known.end();
    if (found != collection.known.end()) segments.push_back(found->second);
  }
  return segments;
}

bool contains_file(const std::vector<UnreadableIndexFile>& files, const Id& id) {
  return std::any_of(files.begin(), files.end(), [&id](const auto& file) { return file.file == id; });
}

// Whether the new collection would make the same index again.
bool unchanged(const CompactIndex& previous, const std::vector<IndexSegmentPtr>& segments,
               const std::vector<UnreadableIndexFile>& unreadable) {
  if (segments.size() != previous.segments().size() ||
      unreadable.size() != previous.unreadable_files().size()) {
    return false;
  }
  const std::vector<Id>& files = previous.files();
  return std::all_of(segments.begin(), segments.end(),
                     [&](const auto& segment) {
                       return std::binary_search(files.begin(), files.end(), segment->file());
                     }) &&
         std::all_of(unreadable.begin(), unreadable.end(),
                     [&](const auto& file) { return contains_file(previous.unreadable_files(), file.file); });
}

}  // namespace

IndexLoader::IndexLoader(transport::Backend& backend, const Crypto& crypto, unsigned repository_version,
                         CpuPool& pool, Log& log, IndexCache* cache)
    : backend_(backend),
      crypto_(crypto),
      repository_version_(repository_version),
      pool_(pool),
      log_(log),
      cache_(cache) {}

std::shared_ptr<const CompactIndex> IndexLoader::load(const std::shared_ptr<const CompactIndex>& previous,
                                                      const Progress& progress, const std::stop_token& stop) {
  Collection collection;
  transport::Answer<FileList> listing = start_list(backend_);
  if (previous) {
    for (const IndexSegmentPtr& segment : previous->segments())
      collection.known.emplace(segment->file(), segment);
  } else if (cache_ != nullptr) {
    for (IndexSegmentPtr& segment : cache_->load())
      collection.known.emplace(segment->file(), std::move(segment));
  }
  FileList listed = finish_list(std::move(listing), stop);
  // A file that vanishes between the list and its load was replaced by prune: the new list has what replaced
  // it.
  constexpr int kMostRounds = 3;
  for (int round = 1;; ++round) {
    FileList wanted = not_known(collection, listed);
    const std::size_t total = listed.size(), ready = total - wanted.size();
    // The end is told below: a round may have another after it.
    const auto advance = [&](std::size_t done) {
      if (progress && ready + done < total) progress(ready + done, total);
    };
    advance(0);
    IndexFetch fetch(backend_, crypto_, repository_version_, pool_, std::move(wanted));
    if (!take_in(fetch.run(advance, stop), collection) || round == kMostRounds) break;
    listed = finish_list(start_list(backend_), stop);
  }
  for (const UnreadableIndexFile& file : collection.unreadable) {
    const bool told = previous && contains_file(previous->unreadable_files(), file.file);
    log_.write(told ? LogLevel::Debug : LogLevel::Error, file.reason);
  }
  std::vector<IndexSegmentPtr> segments = listed_segments(collection, listed);
  if (segments.empty() && !collection.unreadable.empty()) {
    throw Error(Errc::Damaged, "none of the " + std::to_string(listed.size()) +
                                   " index files can be read: " + collection.unreadable.front().reason);
  }
  auto index = previous;
  if (!previous || !unchanged(*previous, segments, collection.unreadable)) {
    index =
        std::make_shared<const CompactIndex>(std::move(segments), std::move(collection.unreadable), pool_);
    if (cache_ != nullptr && !collection.fetched.empty())
      cache_->store(std::move(collection.fetched), index->files());
  }
  if (progress) progress(listed.size(), listed.size());
  return index;
}

}  // namespace restic::repo
