// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace restic::tools {

// The mountpoint without symbolic links. Throws Error that says what is wrong: it does not exist, is no
// folder, cannot be entered, is the remains of a mount whose program has died, or is one where only root may
// mount. Blocks on the file system.
std::string resolve_mountpoint(const std::string& path);

// Whether FUSE's configuration, /etc/fuse.conf, lets users who are not root mount with allow_other; true when
// it cannot be read by this user.
bool others_may_be_let_in(const std::string& configuration);

// Throws Error{Usage} when `folder` is the mountpoint, lies in it, or contains it: requests of the mount
// would then wait for themselves. `what` names the folder in the message ("the repository"); it need not
// exist. Empty is never in the way.
void refuse_overlap(const std::string& mountpoint, const std::string& what, const std::string& folder);

// Throws Error that says how to help it when this user cannot use /dev/fuse.
void require_fuse_device();

}  // namespace restic::tools
