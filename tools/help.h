// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace restic::tools {

// What -h prints: the form of the command line and every option with its sentence.
std::string help_text();

// What -V prints: "mount.restic 0.1.0".
std::string version_text();

}  // namespace restic::tools
