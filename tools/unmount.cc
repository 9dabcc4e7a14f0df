// SPDX-License-Identifier: MIT
#include "tools/unmount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"
#include "fs/control.h"
#include "fs/status.h"
#include "tools/mount_table.h"
#include "tools/process.h"

namespace restic::tools {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr std::chrono::milliseconds kAskEvery{100};
// A file may still have been open at the first.
constexpr unsigned kMostCommits = 3;

// What the kernel says of a mount whose program is gone, or goes while it is asked.
bool is_dead(int error) { return error == ENOTCONN || error == ECONNABORTED; }

std::string reason(int error) { return std::generic_category().message(error); }

// One line on the terminal, written over again and again.
class ProgressLine {
 public:
  ~ProgressLine() { clear(); }
  void show(const fs::CommitProgress& progress) {
    if (!terminal_) return;
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!std::exchange(shown_, true)) began_ = now;
    const std::chrono::duration<double> passed = now - began_;
    std::ostringstream text;
    text << "\r\033[K" << progress.files_done << " of " << progress.files_total << " files, "
         << fs::human_bytes(progress.bytes_done) << " of " << fs::human_bytes(progress.bytes_total) << ", "
         << fs::human_bytes(progress.bytes_uploaded) << " uploaded";
    if (passed.count() >= 1) {
      text << ", "
           << fs::human_bytes(
                  static_cast<std::uint64_t>(static_cast<double>(progress.bytes_uploaded) / passed.count()))
           << "/s";
    }
    std::cerr << text.str() << std::flush;
  }
  void clear() {
    if (std::exchange(shown_, false)) std::cerr << "\r\033[K" << std::flush;
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  SteadyTime began_{};
};

class Unmounter {
 public:
  explicit Unmounter(const UmountOptions& options) : options_(options) {
    if (options.timeout) deadline_ = std::chrono::steady_clock::now() + *options.timeout;
  }

  void run() {
    std::optional<Error> kept;
    // Lazily or by force means now: the mount's own process commits what is left.
    const bool waits = !options_.lazy && !options_.force;
    if (waits) kept = commit();
    detach();
    say("unmounted");
    if (waits) wait_for_the_end(kept);
    if (kept) throw Error(*kept);
  }

 private:
  void say(const std::string& what) const {
    if (options_.verbose) std::cout << "umount.restic: " << options_.mountpoint << ": " << what << std::endl;
  }
  bool too_late() const { return deadline_ && std::chrono::steady_clock::now() >= *deadline_; }

  // Why something is not durable; nothing: everything is. The folder is closed again, or it would be in use.
  std::optional<Error> commit() {
    const std::string folder = options_.mountpoint + "/new";
    const UniqueFd top(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    fs::CommitProgress progress;
    if (!top || ::ioctl(top.get(), fs::kControlProgress, &progress) != 0) return nobody_to_ask(errno);
    process_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, progress.pid, 0)));
    if (::ioctl(top.get(), fs::kControlCommit) != 0) {
      return stopped_answering(errno);
    }
    ProgressLine line;
    unsigned commits = 1;
    while (::ioctl(top.get(), fs::kControlProgress, &progress) == 0) {
      if (progress.drops == 0 && progress.staged == 0) return std::nullopt;
      if (progress.drops == 0) {
        // It is in no drop: still open for writing, or the state folder did not let it be cut off.
        if (too_late() || commits == kMostCommits) {
          return Error(Errc::Io, "something in " + folder +
                                     " cannot be committed now (open files, or a state folder that is full): "
                                     "kept, see the log");
        }
        ::poll(nullptr, 0, static_cast<int>(kAskEvery.count()));
        ::ioctl(top.get(), fs::kControlCommit);
        ++commits;
        continue;
      }
      const bool failed = progress.failed == progress.drops;
      if (failed || too_late()) {
        ::ioctl(top.get(), fs::kControlLeave);
        const std::string why = failed ? std::string(progress.error) : "it took too long";
        return Error(Errc::Io, "not durable in the repository, kept for the next mount: " + why);
      }
      line.show(progress);
      ::poll(nullptr, 0, static_cast<int>(kAskEvery.count()));
    }
    return stopped_answering(errno);
  }

  std::optional<Error> nobody_to_ask(int error) {
    if (error == ENOENT || error == ENOTDIR || error == ENOTTY) return std::nullopt;  // read-only
    dead_ = is_dead(error);
    if (dead_) {
      return Error(Errc::Unavailable,
                   "unmounted, but its program had ended before: what it had not committed "
                   "is kept for the next mount");
    }
    std::string why = reason(error);
    if (error == EACCES) why += " (only who mounted it may look inside)";
    return Error(Errc::Denied, "unmounted, but whether all is durable could not be asked: " + why +
                                   "; its program goes on committing");
  }
  Error stopped_answering(int error) {
    dead_ = is_dead(error);
    return {Errc::Io, "the mount stopped answering (" + reason(error) +
                          "); what it could not commit is kept for the next mount"};
  }

  void detach() const {
    // Who still has something open in a dead mount can do nothing with it.
    const bool lazy = options_.lazy || dead_;
    const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (options_.force ? MNT_FORCE : 0);
    if (::umount2(options_.mountpoint.c_str(), flags) == 0) return;
    const int error = errno;
    if (error == EPERM && detach_as_user(lazy)) return;
    std::string why = reason(error);
    if (error == EPERM) why += " (only root and who mounted it may)";
    if (error == EBUSY) why += " (a program has files open or stands in it; see lsof, or umount -l)";
    throw Error(Errc::Io, "cannot unmount " + options_.mountpoint + ": " + why);
  }

  // FUSE's own helper may unmount what its user mounted.
  bool detach_as_user(bool lazy) const {
    const pid_t child = ::fork();
    if (child == 0) {
      ::execlp("fusermount3", "fusermount3", "-u", lazy ? "-z" : "-q", "--", options_.mountpoint.c_str(),
               nullptr);
      ::_exit(127);
    }
    int status = 0;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  void wait_for_the_end(std::optional<Error>& kept) const {
    if (!process_) return;
    pollfd ended{process_.get(), POLLIN, 0};
    while (!too_late()) {
      if (::poll(&ended, 1, static_cast<int>(kAskEvery.count())) > 0) return;
    }
    if (!kept) kept = Error(Errc::Timeout, "unmounted and durable, but its process has not ended yet");
  }

  const UmountOptions& options_;
  std::optional<SteadyTime> deadline_;
  bool dead_ = false;  // no program answers for the mount
  UniqueFd process_;   // a pidfd of the mount's process
};

}  // namespace

void unmount(const UmountOptions& options) {
  if (!options.name_space.empty()) enter_name_space(options.name_space);
  UmountOptions resolved = options;
  resolved.mountpoint = find_mount(options.mountpoint);
  Unmounter(resolved).run();
}

}  // namespace restic::tools
