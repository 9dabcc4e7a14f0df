// SPDX-License-Identifier: MIT
#include "fs/caller_identity.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace restic::fs {
namespace {

// The umask belongs to the process unless the thread has file system attributes of its own.
void own_umask() {
  thread_local bool own = false;
  if (!own) own = ::unshare(CLONE_FS) == 0;
}

// setfsuid() takes the rights over files away from a root thread; they are still permitted, so they can be
// had back.
void keep_file_rights() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (::syscall(SYS_capget, &header, data) != 0) return;
  constexpr unsigned kRights = (1U << CAP_DAC_OVERRIDE) | (1U << CAP_DAC_READ_SEARCH) | (1U << CAP_MKNOD);
  data[0].effective |= kRights & data[0].permitted;
  ::syscall(SYS_capset, &header, data);
}

}  // namespace

CallerIdentity::CallerIdentity(uid_t uid, gid_t gid, mode_t umask) {
  own_umask();
  ::umask(umask);
  if (::geteuid() != 0 || (uid == 0 && gid == 0)) return;
  changed_ = true;
  ::setfsgid(gid);
  ::setfsuid(uid);
  keep_file_rights();
}

CallerIdentity::~CallerIdentity() {
  if (!changed_) return;
  ::setfsuid(0);
  ::setfsgid(0);
}

}  // namespace restic::fs
