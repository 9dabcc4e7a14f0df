// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "repo/tree.h"

namespace restic::repo {

// `type` as trees spell it; Irregular for a spelling we do not know.
NodeType node_type_of(std::string_view spelling);
std::string_view spelling_of(NodeType type);

// Trees store Go's os.FileMode, whose bits are not st_mode's (FORMAT: mode). These translate the permission,
// setuid, setgid and sticky bits; Go's type bits follow from `type`, whatever a tree says.
std::uint32_t posix_mode_of(std::uint32_t go_mode);
std::uint32_t go_mode_of(NodeType type, std::uint32_t posix_mode);

}  // namespace restic::repo
