// SPDX-License-Identifier: MIT
#pragma once

#include "base/error.h"

namespace restic::fs {

// The one place where a reason becomes an errno. A failure to ask is never ENOENT: that would be a lie about
// the backup, and the kernel would remember it.
int errno_of(Errc code) noexcept;

}  // namespace restic::fs
