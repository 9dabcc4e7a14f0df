// SPDX-License-Identifier: MIT
#include "tools/drag_in.h"

#include <unistd.h>

#include "base/error.h"
#include "tools/identity.h"

namespace restic::tools {
namespace {

fs::CommitterOptions committer_options(const CommitOptions& options) {
  fs::CommitterOptions wanted;
  wanted.after = options.after;
  wanted.snapshot.hostname = options.host.empty() ? host_name() : options.host;
  wanted.snapshot.username = user_name();
  wanted.snapshot.uid = ::geteuid();
  wanted.snapshot.gid = ::getegid();
  wanted.snapshot.tags = options.tags;
  wanted.snapshot.partial = options.partial;
  wanted.snapshot.program_version = "mount.restic " RESTIC_VERSION;
  return wanted;
}

fs::TrayStore open_store(const std::string& state_dir, const repo::Id& repository, Log& log) {
  constexpr const char* kWayOut = " with -o state-dir=PATH, or mount with -o ro";
  if (state_dir.empty()) {
    throw Error(Errc::Usage,
                std::string("there is no state folder for new/: this user has no home; name one") + kWayOut);
  }
  try {
    return fs::TrayStore(state_dir, repository, log);
  } catch (const Error& error) {
    throw Error(error.code(), "cannot use the state folder " + state_dir + ": " + error.what() +
                                  "; name another" + kWayOut);
  }
}

}  // namespace

DragIn::DragIn(const Options& options, repo::Repository& repository, fs::Vfs& vfs, Log& log)
    : store_(open_store(options.state_dir, repository.config().id, log)),
      maker_(repository, store_, lock_owner(), options.memory_bytes / 16 * 9, clock_),
      staging_(store_, maker_, clock_, log),
      committer_(staging_, store_, maker_, committer_options(options.commit), clock_, log,
                 [&vfs](const repo::Snapshot&) { vfs.load_snapshots(); }) {}

fs::StagingFacts DragIn::facts() const {
  fs::StagingFacts facts;
  facts.state_dir = store_.path();
  facts.something_staged = !staging_.empty();
  facts.open_for_writing = staging_.any_writer();
  facts.drops = committer_.drops();
  facts.problems = store_.problems();
  return facts;
}

}  // namespace restic::tools
