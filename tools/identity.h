// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "repo/lock_file.h"

namespace restic::tools {

// Who this process is to the people who read snapshots and locks; "" for what the system does not tell.
std::string host_name();
std::string user_name();
repo::LockOwner lock_owner();

}  // namespace restic::tools
