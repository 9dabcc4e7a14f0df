// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace restic::fs {

// While it lives, what this thread creates belongs to the given user, under the given umask (which an
// inherited ACL overrides, as it does everywhere). The right to create was checked by the kernel before; so a
// root process keeps its other rights. Without root everything belongs to the process's own user. For one
// thread; not to be nested.
class CallerIdentity {
 public:
  CallerIdentity(uid_t uid, gid_t gid, mode_t umask);
  ~CallerIdentity();
  CallerIdentity(const CallerIdentity&) = delete;
  CallerIdentity& operator=(const CallerIdentity&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace restic::fs
