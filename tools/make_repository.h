// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "base/log.h"
#include "tools/startup.h"
#include "transport/backend.h"
#include "transport/open_backend.h"

namespace restic::tools {

// `-o init`: a repository where there is none yet. Blocks.

// Makes the folder of a local repository, and those above it, for its owner alone. To be called before the
// backend is opened, for a folder that is missing is an error there. Throws Error{Io}.
void make_place(const transport::Location& location);

// Does nothing when the place has a config. Otherwise makes a repository with `password`; without one it is
// asked for, twice, and kept in `password`, so that opening the repository need not ask again.
void make_repository_if_missing(transport::Backend& backend, std::optional<std::string>& password,
                                Startup& startup, Log& log);

}  // namespace restic::tools
