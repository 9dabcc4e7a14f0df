// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "fs/archive_maker.h"
#include "fs/branch.h"
#include "fs/committer.h"
#include "fs/staging.h"
#include "fs/status.h"
#include "fs/tray_store.h"
#include "fs/vfs.h"
#include "repo/repository.h"
#include "tools/options.h"

namespace restic::tools {

// All that `new/` is made of, built and taken down in the right order. Blocks on the local disk; throws Error
// when the state folder cannot be used. What it is given must outlive it.
class DragIn {
 public:
  DragIn(const Options& options, repo::Repository& repository, fs::Vfs& vfs, Log& log);

  fs::Branch& branch() { return staging_; }
  fs::Committer& committer() { return committer_; }
  fs::StagingFacts facts() const;

 private:
  SystemClock clock_;
  fs::TrayStore store_;
  fs::ArchiveMaker maker_;
  fs::Staging staging_;
  fs::Committer committer_;
};

}  // namespace restic::tools
