// SPDX-License-Identifier: MIT
// Listing the folders of `new/`, committing it, and its control channel.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "fs/control.h"
#include "fs/fuse_errno.h"
#include "fs/staging_ops.h"

namespace restic::fs {
namespace {

constexpr std::size_t kLargestListing = 1U << 20U;  // bytes of one reply

// A folder open in `new/`.
class StagedDir {
 public:
  StagedDir(StagedNodePtr node, DIR* stream) : node_(std::move(node)), stream_(stream) {}
  ~StagedDir() { ::closedir(stream_); }
  StagedDir(const StagedDir&) = delete;
  StagedDir& operator=(const StagedDir&) = delete;

  const StagedNodePtr& node() const { return node_; }
  int fd() const { return ::dirfd(stream_); }

  void go_to(off_t offset) {
    if (offset == offset_) return;
    ::seekdir(stream_, offset);
    offset_ = offset;
    pending_ = nullptr;
  }
  // The next entry, again and again until it is taken; null: the end, or an error in errno.
  const dirent* peek() {
    errno = 0;
    if (pending_ == nullptr)
      pending_ = ::readdir(stream_);  // NOLINT(concurrency-mt-unsafe): the stream is ours
    return pending_;
  }
  void take() {
    offset_ = pending_->d_off;
    pending_ = nullptr;
  }

 private:
  StagedNodePtr node_;
  DIR* stream_;
  off_t offset_ = 0;
  const dirent* pending_ = nullptr;
};

StagedDir& dir_of(const fuse_file_info& info) { return OpenHandles::at<StagedDir>(info.fh); }

void opendir(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  Staging& staging = staging_of(req);
  const StagedNodePtr node = staging.node(id);
  const SharedFd folder = node ? staging.nodes().fd(node) : nullptr;
  if (!folder) return reply_stale(req);
  UniqueFd fd(::openat(folder->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* stream = fd ? ::fdopendir(fd.get()) : nullptr;
  if (stream == nullptr) return reply_errno(req, -1);
  (void)fd.release();
  OpenHandles& handles = context_of(req).handles;
  info->fh = handles.keep(std::make_unique<StagedDir>(node, stream));
  if (fuse_reply_open(req, info) == -ENOENT) handles.take<StagedDir>(info->fh);
}

bool is_dot(std::string_view name) { return name == "." || name == ".."; }

// Adds one entry to the listing. The bytes it takes; more than `room`: it was not added.
template <bool Plus>
std::size_t add_entry(fuse_req_t req, fuse_ino_t id, const StagedDir& dir, const dirent& found, char* at,
                      std::size_t room) {
  fuse_entry_param entry{};
  entry.attr.st_ino = found.d_ino;
  entry.attr.st_mode = static_cast<mode_t>(DTTOIF(found.d_type));
  if constexpr (!Plus) {
    return fuse_add_direntry(req, at, room, found.d_name, &entry.attr, found.d_off);
  } else {
    Staging& staging = staging_of(req);
    struct stat status {};
    // An entry that vanished meanwhile is listed without a node: nobody promised more.
    const bool counted =
        !is_dot(found.d_name) && ::fstatat(dir.fd(), found.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (counted) entry = staged_entry(staging, id, dir.node(), found.d_name, status);
    const std::size_t needed = fuse_add_direntry_plus(req, at, room, found.d_name, &entry, found.d_off);
    if (needed > room && counted) staging.nodes().forget(entry.ino, 1);
    return needed;
  }
}

template <bool Plus>
void list(fuse_req_t req, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* info) {
  StagedDir& dir = dir_of(*info);
  Bytes listing(std::min(size, kLargestListing));
  char* const begin = reinterpret_cast<char*>(listing.data());
  std::size_t used = 0;
  dir.go_to(offset);
  while (const dirent* found = dir.peek()) {
    const std::size_t needed = add_entry<Plus>(req, id, dir, *found, begin + used, listing.size() - used);
    if (needed > listing.size() - used) break;
    used += needed;
    dir.take();
  }
  if (used == 0 && errno != 0) return reply_errno(req, -1);
  fuse_reply_buf(req, begin, used);
}

void readdir(fuse_req_t req, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* info) {
  list<false>(req, id, size, offset, info);
}

void readdirplus(fuse_req_t req, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* info) {
  list<true>(req, id, size, offset, info);
}

void releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  context_of(req).handles.take<StagedDir>(info->fh);
  fuse_reply_err(req, 0);
}

// Somebody who waits in fsync for the drop to be durable. The request is answered by the committer, so that
// no thread waits with it.
struct Waiter {
  explicit Waiter(CommitService& service) : commits(service) {}
  CommitService& commits;
  std::atomic<CommitService::Ticket> ticket{0};
  std::atomic<bool> interrupted{false};
};

// Runs with the request's lock held, so the request cannot end meanwhile. Who takes the ticket back answers.
void interrupted(fuse_req_t req, void* data) {
  Waiter& waiter = *static_cast<Waiter*>(data);
  waiter.interrupted = true;
  const CommitService::Ticket ticket = waiter.ticket;
  if (ticket != 0 && waiter.commits.stop_waiting(ticket)) fuse_reply_err(req, EINTR);
}

void commit(fuse_req_t req, Staging& staging) {
  auto waiter = std::make_shared<Waiter>(staging.commits());
  fuse_req_interrupt_func(req, interrupted, waiter.get());
  const auto done = [req, waiter](const Status& result) {
    fuse_req_interrupt_func(req, nullptr, nullptr);  // waits for interrupted() to return
    fuse_reply_err(req, result.ok() ? 0 : errno_of(result.error().code()));
  };
  waiter->ticket = waiter->commits.commit(done);
  // An interrupt that came before there was a ticket.
  if (waiter->interrupted && waiter->commits.stop_waiting(waiter->ticket)) {
    fuse_req_interrupt_func(req, nullptr, nullptr);
    fuse_reply_err(req, EINTR);
  }
}

void fsyncdir(fuse_req_t req, fuse_ino_t id, int only_data, fuse_file_info* info) {
  if (Staging::is_top(id)) return commit(req, staging_of(req));
  const int fd = dir_of(*info).fd();
  reply_errno(req, only_data != 0 ? ::fdatasync(fd) : ::fsync(fd));
}

void ioctl(fuse_req_t req, fuse_ino_t id, unsigned command, void*, fuse_file_info*, unsigned, const void*,
           std::size_t, std::size_t room) {
  CommitService& commits = staging_of(req).commits();
  if (!Staging::is_top(id)) {
    fuse_reply_err(req, ENOTTY);
  } else if (command == kControlCommit) {
    commits.commit([](const Status&) {});
    fuse_reply_ioctl(req, 0, nullptr, 0);
  } else if (command == kControlLeave) {
    commits.leave();
    fuse_reply_ioctl(req, 0, nullptr, 0);
  } else if (command == kControlProgress && room >= sizeof(CommitProgress)) {
    const CommitProgress progress = commits.progress();
    fuse_reply_ioctl(req, 0, &progress, sizeof progress);
  } else {
    fuse_reply_err(req, ENOTTY);
  }
}

}  // namespace

void add_folder_operations(fuse_lowlevel_ops& ops) {
  ops.opendir = opendir;
  ops.readdir = readdir;
  ops.readdirplus = readdirplus;
  ops.releasedir = releasedir;
  ops.fsyncdir = fsyncdir;
  ops.ioctl = ioctl;
}

}  // namespace restic::fs
