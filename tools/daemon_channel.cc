// SPDX-License-Identifier: MIT
#include "tools/daemon_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "tools/text_file.h"

namespace restic::tools {
namespace {

constexpr std::size_t kLargestText = 16384;  // a password or a reason; longer reasons are cut

// What goes through the socket: this, then the text.
struct Header {
  DaemonMessage::Kind kind;
  ExitCode code;
  int attempt;
  std::size_t done, total;
};

void send_bytes(int socket, const void* bytes, std::size_t size) noexcept {
  while (::send(socket, bytes, size, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

// One whole record, or an empty string when the other side is gone.
std::string receive_record(int socket) {
  std::string record(sizeof(Header) + kLargestText, '\0');
  ssize_t got = 0;
  do {
    got = ::recv(socket, record.data(), record.size(), 0);
  } while (got < 0 && errno == EINTR);
  record.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return record;
}

}  // namespace

DaemonChannel::Ends DaemonChannel::make_ends() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    throw Error(Errc::Io, "cannot make a pair of sockets: " + std::generic_category().message(errno));
  }
  return Ends{DaemonChannel(ends[0]), DaemonChannel(ends[1])};
}

void DaemonChannel::send(const DaemonMessage& message) const noexcept {
  const Header header{message.kind, message.code, message.attempt, message.done, message.total};
  std::string record(reinterpret_cast<const char*>(&header), sizeof header);
  record += message.reason.substr(0, kLargestText);
  send_bytes(socket_.get(), record.data(), record.size());
}

std::optional<DaemonMessage> DaemonChannel::receive() const {
  const std::string record = receive_record(socket_.get());
  if (record.size() < sizeof(Header)) return std::nullopt;
  Header header{};
  std::memcpy(&header, record.data(), sizeof header);
  DaemonMessage message(header.kind);
  message.code = header.code;
  message.reason = record.substr(sizeof header);
  message.done = header.done;
  message.total = header.total;
  message.attempt = header.attempt;
  return message;
}

void DaemonChannel::send_password(const std::optional<std::string>& password) const noexcept {
  std::string record = password ? "+" + *password : "-";
  send_bytes(socket_.get(), record.data(), record.size());
  wipe(record);
}

std::optional<std::string> DaemonChannel::receive_password() const {
  std::string record = receive_record(socket_.get());
  std::optional<std::string> password;
  if (record.starts_with('+')) password = record.substr(1);
  wipe(record);
  return password;
}

void DaemonChannel::wait_for_hangup() const noexcept {
  pollfd entry{socket_.get(), 0, 0};  // hanging up is always reported
  while (::poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
}

void DaemonChannel::hang_up() const noexcept { ::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace restic::tools
