// SPDX-License-Identifier: MIT
#include "tools/serve_repository.h"

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "fs/session.h"
#include "fs/status.h"
#include "fs/vfs.h"
#include "repo/cpu_pool.h"
#include "repo/repository.h"
#include "tools/drag_in.h"
#include "tools/held_lock.h"
#include "tools/make_repository.h"
#include "tools/password.h"
#include "transport/open_backend.h"

namespace restic::tools {
namespace {

Log::Sink sink_of(const Options& options) {
  return options.foreground ? Log::Sink::Stderr : Log::Sink::Syslog;
}

repo::RepositoryOptions repository_options(const Options& options, Startup& startup) {
  repo::RepositoryOptions wanted;
  wanted.key_hint = options.key_hint;
  wanted.memory_bytes = options.memory_bytes;
  wanted.cache_dir = options.cache_dir;
  wanted.cache_bytes = options.cache_bytes;
  wanted.index_progress = [&startup](std::size_t done, std::size_t total) {
    startup.show_progress(done, total);
  };
  return wanted;
}

// With the repository's name in front of what went wrong.
std::unique_ptr<repo::Repository> open_repository(const Options& options, transport::Backend& backend,
                                                  std::optional<std::string> password, Startup& startup,
                                                  repo::CpuPool& pool, Log& log) {
  try {
    return repo::Repository::open(backend, password_source(std::move(password), startup),
                                  repository_options(options, startup), pool, log);
  } catch (const Error& error) {
    throw Error(error.code(), "cannot open " + options.repository + ": " + error.what());
  }
}

fs::VfsOptions vfs_options(const Options& options) {
  fs::VfsOptions wanted = options.vfs;
  wanted.meta_uid = ::geteuid();
  wanted.meta_gid = ::getegid();
  return wanted;
}

fs::SessionOptions session_options(const Options& options) {
  fs::SessionOptions wanted;
  wanted.source = options.repository;
  wanted.mountpoint = options.mountpoint;
  wanted.read_only = options.read_only;
  wanted.allow_other = options.allow_other;
  wanted.allow_root = options.allow_root;
  wanted.default_permissions = options.default_permissions;
  wanted.mount_flags = options.mount_flags;
  wanted.debug = options.debug;
  return wanted;
}

// Reads a whole folder; the errno it failed with, or 0.
int list_folder(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), &::closedir);
  if (!listing) return errno;
  errno = 0;
  while (::readdir(listing.get()) != nullptr) {  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
  }
  return errno;
}

// What a person would do first. Throws when it does not work.
void try_out(const std::string& mountpoint) {
  int reason = list_folder(mountpoint);
  if (reason == 0) reason = list_folder(mountpoint + "/snapshots");
  if (reason == 0 || reason == ENOENT) return;  // a path-template may do without snapshots/
  throw Error(Errc::Io, "cannot list " + mountpoint + ": " + std::generic_category().message(reason));
}

std::string status(const Options& options, repo::Repository& repository, const fs::Vfs& vfs, const Log& log,
                   const DragIn* drag_in) {
  const fs::StatusSource source{options.repository, options.cache_dir, options.cache_bytes};
  if (drag_in == nullptr) return fs::status_text(source, repository, vfs, log, nullptr);
  const fs::StagingFacts facts = drag_in->facts();
  return fs::status_text(source, repository, vfs, log, &facts);
}

// At its end a signal does nothing any more, whatever it did, so that what it used can go.
class SignalsEnd {
 public:
  explicit SignalsEnd(StopSignals& signals) : signals_(signals) {}
  ~SignalsEnd() { signals_.redirect(nullptr); }
  SignalsEnd(const SignalsEnd&) = delete;
  SignalsEnd& operator=(const SignalsEnd&) = delete;

 private:
  StopSignals& signals_;
};

}  // namespace

void serve_repository(const Options& options, std::optional<std::string> password, Startup& startup,
                      StopSignals& signals) {
  Log log(sink_of(options), options.verbose ? LogLevel::Debug : LogLevel::Info, options.log_file);
  if (options.init) make_place(options.location);
  const std::unique_ptr<transport::Backend> backend =
      transport::open_backend(options.location, options.backend, log);
  if (options.init) make_repository_if_missing(*backend, password, startup, log);
  repo::CpuPool pool;
  const std::unique_ptr<repo::Repository> repository =
      open_repository(options, *backend, std::move(password), startup, pool, log);
  std::optional<HeldLock> lock;
  if (options.lock) lock.emplace(*repository, log);
  fs::Vfs vfs(*repository, vfs_options(options), log);
  vfs.load_snapshots();
  std::unique_ptr<DragIn> drag_in;
  if (!options.read_only) drag_in = std::make_unique<DragIn>(options, *repository, vfs, log);
  vfs.add_text_file({".status", [&] { return status(options, *repository, vfs, log, drag_in.get()); }});
  fs::Session session(vfs, drag_in ? &drag_in->branch() : nullptr, session_options(options), log);
  const SignalsEnd signals_end(signals);
  signals.redirect([&session] { session.stop(); });
  session.mount();
  if (drag_in) drag_in->committer().start();
  std::optional<Error> failure;
  const bool unmounted = session.run([&] {
    try {
      try_out(options.mountpoint);
      startup.ready();
    } catch (const Error& error) {
      failure = error;
      session.stop();
    }
  });
  // What is not durable yet is committed now; another signal leaves it to the next mount.
  signals.redirect(drag_in ? std::function<void()>([&drag_in] { drag_in->committer().leave(); }) : nullptr);
  if (drag_in && !failure) drag_in->committer().finish(unmounted);
  if (failure) throw Error(*failure);
}

}  // namespace restic::tools
