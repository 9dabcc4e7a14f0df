// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "tools/umount_options.h"

namespace restic::tools {

// Commits what is in `new/` of the mount, waits until everything is durable, unmounts, waits for the program
// to end. A mount whose program is dead is unmounted even while it is in use. Shows progress on stderr where
// that is a terminal. Blocks. Throws Error: Usage when nothing of ours is mounted there, else the reason why
// the drop is kept for the next mount (the mount is gone nevertheless) or why it cannot be unmounted (it goes
// on then).
void unmount(const UmountOptions& options);

}  // namespace restic::tools
