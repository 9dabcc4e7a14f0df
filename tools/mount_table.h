// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace restic::tools {

// The absolute path of the mountpoint that `path` names, if a restic repository is mounted there. Asks the
// kernel's table, not the folder, for a mount whose program died does not answer. Throws Error{Usage}.
std::string find_mount(const std::string& path);

// Whether this line of /proc/self/mountinfo is ours: file system type fuse.restic on `mountpoint`.
bool is_our_mount(std::string_view line, std::string_view mountpoint);

}  // namespace restic::tools
