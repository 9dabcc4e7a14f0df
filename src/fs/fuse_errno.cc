// SPDX-License-Identifier: MIT
#include "fs/fuse_errno.h"

#include <cerrno>

namespace restic::fs {

int errno_of(Errc code) noexcept {
  switch (code) {
    case Errc::Timeout:
      return ETIMEDOUT;
    case Errc::Denied:
    case Errc::WrongPassword:
      return EACCES;
    case Errc::Full:
      return ENOSPC;
    case Errc::Unsupported:
      return EOPNOTSUPP;
    case Errc::Usage:
      return EINVAL;
    case Errc::Locked:
      return EBUSY;
    case Errc::Cancelled:
      return EINTR;
    case Errc::NotFound:  // of a file of the repository: something that should be there
    case Errc::Unavailable:
    case Errc::Damaged:
    case Errc::Io:
      break;
  }
  return EIO;
}

}  // namespace restic::fs
