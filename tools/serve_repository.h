// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "tools/options.h"
#include "tools/startup.h"
#include "tools/stop_signals.h"

namespace restic::tools {

// Opens the repository, mounts it, serves until it is unmounted or a signal comes, and takes everything down
// again. `password` is what find_password gave. Throws Error for what keeps it from mounting; what fails
// after Startup::ready() goes to the log. Blocks.
void serve_repository(const Options& options, std::optional<std::string> password, Startup& startup,
                      StopSignals& signals);

}  // namespace restic::tools
