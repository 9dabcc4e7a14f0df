// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace restic::tools {

// What a generic mount(8) option, one that is about no file system in particular, means to us.
enum class Generic {
  Unknown,     // it is none of them
  Accepted,    // mount(8), systemd or the fstab reader have acted on it
  Kernel,      // handed on to the kernel with the mount
  Impossible,  // asks for something that cannot be done here: remount, bind, …
};
Generic classify_generic(std::string_view name);

// The name of `known` with the fewest edits to `name`, or "" when all are too far off to be a slip of the
// fingers.
std::string nearest_name(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace restic::tools
