// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace restic::tools {

// Makes this process fit to hold keys and to serve: no core dumps and no tracing by the same user, as many
// open files as allowed, HOME set where a bare environment lacks it, an allocator that keeps
// freed buffers for the next. Before any thread starts.
void prepare_process();

// Removes a variable and overwrites its text, which /proc would show for as long as the process lives.
void erase_variable(const char* name);

// Enters another mount namespace: a process id or a path. Throws Error. Before any thread starts.
void enter_name_space(const std::string& name_space);

}  // namespace restic::tools
