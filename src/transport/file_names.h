// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "transport/backend.h"

namespace restic::transport {

// 64 lower-case hex digits: the only names that restic gives to files in a repository's folders.
bool is_storage_name(std::string_view name);

// What is wrong with a call's file name (Usage), or nothing. Every backend asks before a name can become part
// of a path, so that no name from outside can climb out of the repository.
std::optional<Error> name_problem(const FileName& file);

// The same for a range: an empty one, or one whose end does not fit 63 bits, is Usage.
std::optional<Error> range_problem(const FileName& file, ByteRange range);

}  // namespace restic::transport
