// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "base/bytes.h"
#include "transport/backend.h"

namespace restic::transport {

// Reads the JSON of a list, `[{"name":"…","size":1},…]`; entries whose names are not storage names are left
// out. Takes the bytes over, to parse them where they are. Throws Error{Damaged} for anything else.
std::vector<FileInfo> parse_rest_list(Bytes json);

}  // namespace restic::transport
