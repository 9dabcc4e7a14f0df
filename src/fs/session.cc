// SPDX-License-Identifier: MIT
#include "fs/session.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "base/unique_fd.h"
#include "fs/ops.h"
#include "fs/worker_pool.h"

namespace restic::fs {
namespace {

constexpr unsigned kMaxBackground = 64;  // read-aheads of the kernel under way at once
constexpr unsigned kKernelReadAheadKib = 1024;

// libfuse reads its options as a list: a comma or backslash in a value is quoted.
std::string quoted(const std::string& value) {
  std::string result;
  for (const char c : value) {
    if (c == ',' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string reason(int error) { return std::generic_category().message(error); }

// Whether the mount there was cut off while somebody had a file open, which keeps what is left of it.
bool is_dead(const std::string& mountpoint) {
  struct stat found {};
  return ::stat(mountpoint.c_str(), &found) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

void want(fuse_conn_info* connection, unsigned capability, bool wanted) {
  if (wanted && (connection->capable & capability) != 0) {
    connection->want |= capability;
  } else {
    connection->want &= ~capability;
  }
}

// The kernel reads ahead 128 KiB unless told otherwise, and only root may tell it. Best effort.
void raise_kernel_readahead(dev_t device) {
  std::ofstream setting("/sys/class/bdi/" + std::to_string(major(device)) + ":" +
                        std::to_string(minor(device)) + "/read_ahead_kb");
  setting << kKernelReadAheadKib;
}

}  // namespace

// Its OpsContext is what FUSE hands to every operation.
struct Session::Impl : OpsContext {
  Impl(Vfs& vfs_in, Branch* branch_in, SessionOptions options_in, Log& log_in)
      : OpsContext{vfs_in, branch_in, log_in},
        options(std::move(options_in)),
        wake(eventfd(0, EFD_CLOEXEC)) {}

  const SessionOptions options;
  const UniqueFd wake;  // an eventfd: written by stop(), and by the last worker
  fuse_session* session = nullptr;
  bool checks_permissions() const {
    return options.default_permissions || options.allow_other || options.allow_root;
  }

  std::string mount_options() const;
  void negotiate(fuse_conn_info* connection) const;
  void wait_until_served() const;
  void wait_for_the_end() const;
  void signal() const noexcept {
    const std::uint64_t one = 1;
    if (write(wake.get(), &one, sizeof one) < 0) return;  // full: it is signalled already
  }
};

std::string Session::Impl::mount_options() const {
  std::string text = "subtype=restic,fsname=" + quoted(options.source);
  if (options.read_only || branch == nullptr) text += ",ro";
  for (const std::string& flag : options.mount_flags) text += "," + flag;
  if (options.allow_other) text += ",allow_other";
  if (options.allow_root) text += ",allow_root";
  if (checks_permissions()) text += ",default_permissions";
  return text;
}

// Content never changes under the kernel's feet, so it keeps all it has until told otherwise.
void Session::Impl::negotiate(fuse_conn_info* connection) const {
  const bool writable = branch != nullptr;
  want(connection, FUSE_CAP_READDIRPLUS, true);
  want(connection, FUSE_CAP_READDIRPLUS_AUTO, false);
  want(connection, FUSE_CAP_AUTO_INVAL_DATA, false);
  want(connection, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
  want(connection, FUSE_CAP_CACHE_SYMLINKS, true);
  want(connection, FUSE_CAP_PARALLEL_DIROPS, true);
  want(connection, FUSE_CAP_ASYNC_READ, true);
  // Replies come from memory. Splicing pays for requests that carry data, and costs a call for all others.
  want(connection, FUSE_CAP_SPLICE_WRITE, false);
  want(connection, FUSE_CAP_SPLICE_MOVE, false);
  want(connection, FUSE_CAP_SPLICE_READ, writable);
  // Where the kernel checks modes it must know the ACLs too: a group's bits in the mode are only their mask.
  want(connection, FUSE_CAP_POSIX_ACL, checks_permissions());
  // An inherited ACL takes the umask's place, so the branch applies it.
  want(connection, FUSE_CAP_DONT_MASK, writable);
  // Nothing may say that a write takes setuid bits away by itself: a root process's writes do not.
  want(connection, FUSE_CAP_HANDLE_KILLPRIV, false);
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground * 3 / 4;
}

// Asking for the mountpoint is answered by the session itself, so it returns once requests are.
void Session::Impl::wait_until_served() const {
  struct stat root {};
  if (stat(options.mountpoint.c_str(), &root) == 0) raise_kernel_readahead(root.st_dev);
}

// Returns when stop() was called or all workers have ended.
void Session::Impl::wait_for_the_end() const {
  std::uint64_t count = 0;
  while (::read(wake.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

Session::Session(Vfs& vfs, Branch* branch, SessionOptions options, Log& log)
    : impl_(std::make_unique<Impl>(vfs, branch, std::move(options), log)) {
  if (branch != nullptr) vfs.add_root_entry({branch->name(), [branch] { return branch->root(); }});
}

Session::~Session() {
  if (impl_->session == nullptr) return;
  fuse_session_unmount(impl_->session);
  fuse_session_destroy(impl_->session);
}

void Session::mount() {
  const std::string& where = impl_->options.mountpoint;
  struct stat found {};
  if (stat(where.c_str(), &found) != 0) {
    throw Error(Errc::Usage, "cannot mount on " + where + ": " + reason(errno));
  }
  if (!S_ISDIR(found.st_mode)) throw Error(Errc::Usage, "cannot mount on " + where + ": it is not a folder");

  // What libfuse would print is said by our own errors; with debug it shows the requests.
  if (!impl_->options.debug) fuse_set_log_func([](fuse_log_level, const char*, va_list) {});
  fuse_lowlevel_ops ops = routed_operations();
  ops.init = [](void* context, fuse_conn_info* connection) {
    static_cast<Impl*>(static_cast<OpsContext*>(context))->negotiate(connection);
  };
  std::vector<std::string> words{"mount.restic", "-o", impl_->mount_options()};
  if (impl_->options.debug) words.emplace_back("-d");
  std::vector<char*> argv;
  argv.reserve(words.size());
  for (auto& word : words) argv.push_back(word.data());
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  impl_->session = fuse_session_new(&args, &ops, sizeof ops, static_cast<OpsContext*>(impl_.get()));
  fuse_opt_free_args(&args);
  if (impl_->session == nullptr) throw Error(Errc::Usage, "the mount options were not understood");

  errno = 0;
  if (fuse_session_mount(impl_->session, where.c_str()) != 0) {
    const int error = errno;
    fuse_session_destroy(std::exchange(impl_->session, nullptr));
    throw Error(Errc::Io, "cannot mount on " + where + (error != 0 ? ": " + reason(error) : std::string()));
  }
}

bool Session::run(const std::function<void()>& ready) {
  Impl& impl = *impl_;
  fuse_session* const session = impl.session;
  const auto invalidate = [session](NodeId folder, const std::string& name) {
    fuse_lowlevel_notify_inval_entry(session, folder, name.c_str(), name.size());
    fuse_lowlevel_notify_inval_inode(session, folder, 0, 0);
  };
  impl.vfs.start(invalidate);
  if (impl.branch != nullptr) impl.branch->start(invalidate);
  // What waits for an answer, perhaps this thread itself, would wait for ever.
  std::atomic<bool> failed{false};
  const auto cut_off = [&](int error) {
    failed = true;
    impl.log.error("the requests for " + impl.options.mountpoint + " cannot be read: " + reason(error));
    umount2(impl.options.mountpoint.c_str(), MNT_FORCE);
  };
  std::atomic<bool> unmounted{false};
  WorkerPool workers(session, impl.options.threads, cut_off, [&] {
    unmounted = true;
    impl.signal();
  });
  impl.about_to_wait = [&workers] { workers.about_to_wait(); };
  impl.attributes_changed = [session](NodeId node) {
    fuse_lowlevel_notify_inval_inode(session, node, -1, 0);
  };
  const auto end = [&] {
    impl.vfs.shut_down();
    if (impl.branch != nullptr) impl.branch->stop();
    workers.end();
    fuse_session_unmount(session);
  };
  try {
    workers.start();
    impl.wait_until_served();
    ready();
    impl.wait_for_the_end();
    if (!unmounted && impl.branch != nullptr) impl.branch->settle();
  } catch (...) {
    end();
    throw;
  }
  const bool nobody_left = unmounted && !failed && !is_dead(impl.options.mountpoint);
  end();
  return nobody_left;
}

void Session::stop() noexcept { impl_->signal(); }

}  // namespace restic::fs
