// SPDX-License-Identifier: MIT
#include "fs/archive_maker.h"

#include <utility>

namespace restic::fs {
namespace {

repo::ArchiverOptions archiver_options(TrayStore& store, repo::LockOwner owner, std::uint64_t upload_budget) {
  repo::ArchiverOptions options;
  options.upload_budget = upload_budget;
  options.spool_folder = store.folder();
  options.owner = std::move(owner);
  options.journal = [&store](const std::vector<repo::Id>& may_exist) { store.note_locks(may_exist); };
  options.changes_are_reported = true;
  return options;
}

}  // namespace

ArchiveMaker::ArchiveMaker(repo::Repository& repository, TrayStore& store, repo::LockOwner owner,
                           std::uint64_t upload_budget, const Clock& clock)
    : repository_(repository),
      archiver_(repository, archiver_options(store, std::move(owner), upload_budget), clock) {}

}  // namespace restic::fs
