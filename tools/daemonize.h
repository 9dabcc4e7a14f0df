// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

#include "tools/startup.h"
#include "tools/stop_signals.h"
#include "tools/terminal.h"

namespace restic::tools {

// Mounts, calls Startup::ready() once the mount answers, serves, and returns when it is unmounted. Throws
// what kept it from mounting; after ready() it throws nothing. What `signals` does before it redirects them:
// the process ends.
using Serve = std::function<void(Startup& startup, StopSignals& signals)>;

// Both return the exit code, and print the one line of a failure on stderr. To be called before any thread is
// started.

// In this process.
ExitCode serve_in_foreground(const Serve& serve, Terminal& terminal);

// In a child that is its own session, has "/" as its folder and, once the mount answers, nothing open that
// belongs to the caller. Returns in the parent, as soon as the child is ready or has failed; never in the
// child. Until then the child's questions and progress go to the parent's terminal, and the child does not
// outlive the parent.
ExitCode serve_in_background(const Serve& serve, Terminal& terminal);

// A failure as one line, ready to print: "mount.restic: …", without line breaks and control characters.
std::string failure_line(const std::string& reason);

}  // namespace restic::tools
