// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace restic::transport {

// Called first on every thread of this room. The program's own signals belong to its main thread, and a write
// into the pipe of a process that died raises SIGPIPE on the writing thread: blocked, it is an EPIPE and
// nothing more.
inline void block_signals_on_this_thread() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace restic::transport
