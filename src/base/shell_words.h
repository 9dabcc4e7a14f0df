// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace restic {

// Splits a command line into words as a shell does, and as restic does with the commands it is given: at
// white space, '…' keeps everything, "…" keeps everything but \" and \\, and a backslash outside quotes keeps
// the next character. Nothing is expanded. Throws Error{Usage} for a quote that is not closed or a backslash
// at the end.
std::vector<std::string> split_shell_words(std::string_view line);

}  // namespace restic
