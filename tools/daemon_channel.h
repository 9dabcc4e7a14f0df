// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "tools/startup.h"

namespace restic::tools {

// What the daemon tells the process that waits for it, one message at a time, over a pair of sockets.
struct DaemonMessage {
  enum class Kind : char { Ready = 'R', Failed = 'F', Progress = 'P', AskPassword = 'A' };
  explicit DaemonMessage(Kind what) : kind(what) {}

  Kind kind;
  ExitCode code = ExitCode::Ok;     // Failed
  std::string reason;               // Failed
  std::size_t done = 0, total = 0;  // Progress
  int attempt = 0;                  // AskPassword
};

// One end of the pair. Sending never fails loudly: when the other side is gone there is nobody to tell. Not
// thread-safe but for `send`.
class DaemonChannel {
 public:
  // Throws Error{Io}.
  struct Ends;
  static Ends make_ends();

  void send(const DaemonMessage& message) const noexcept;
  // Blocks; nullopt when the other side is gone.
  std::optional<DaemonMessage> receive() const;

  void send_password(const std::optional<std::string>& password) const noexcept;
  // Blocks; nullopt when there is none, or the other side is gone.
  std::optional<std::string> receive_password() const;

  // Blocks until either side has hung up or is gone.
  void wait_for_hangup() const noexcept;
  // Ends the conversation for both sides, from any thread.
  void hang_up() const noexcept;
  // Gives this process's copy of the end back; the conversation goes on if another process has one.
  void close() noexcept { socket_.reset(); }

 private:
  explicit DaemonChannel(int socket) : socket_(socket) {}
  UniqueFd socket_;
};

struct DaemonChannel::Ends {
  DaemonChannel daemon, waiting;
};

}  // namespace restic::tools
