// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/http.h"

namespace restic::transport {

// The client's end of one HTTP/2 connection, without I/O and without a clock of its own: bytes go in by
// `receive`, come out by `next_output`, and time is told. Everything it does follows from those calls, so
// tests drive it byte by byte. Not thread-safe; completions run inside `receive`, `next_output`,
// `check_deadlines` and `fail_all`, never inside nghttp2, and may call `submit`. Once the connection is
// broken they wait for `fail_all`.
//
// A request that is broken off (by its deadline, its body, or the server) is a matter of its own stream if it
// was a GET. Anything else that ends without an answer breaks the connection: nothing may be done for it any
// more when it is tried again.
//
// Bodies of ranged answers are received into a buffer of the asked length, others into one of their announced
// length, never beyond the request's limit. Uploads keep few bytes unacknowledged each: the server's window
// for the whole connection is 1 MiB, and one upload that it does not read must not stop the others.
class H2Session {
 public:
  using Clock = std::chrono::steady_clock;

  H2Session();
  // Completes nothing: call fail_all first.
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Starts a request. Fails it at once (through `done`) when the connection takes no more.
  void submit(HttpRequest request, HttpDone done, Clock::time_point now);

  // What the server sent, any number of bytes. Completes what ended in it.
  void receive(ByteView input, Clock::time_point now);
  // The next bytes to send; empty when there are none: call it until then. Valid until the next call of any
  // method.
  ByteView next_output();

  // Fails every request that is past its deadline with Timeout; breaks the connection if one was no GET.
  void check_deadlines(Clock::time_point now);
  // Fails every request; the session takes no more.
  void fail_all(const Error& error);
  void ping();

  std::size_t active() const noexcept;          // requests not completed
  std::size_t active_uploads() const noexcept;  // those with a body of more than kSmallUpload bytes
  std::uint64_t pongs() const noexcept;         // answers to `ping` so far
  // No new requests: the server said GOAWAY, or the connection broke.
  bool closing() const noexcept;
  // Nothing more will come of this connection: it broke, or the server is done with it. Send what
  // `next_output` has, then `fail_all`.
  bool ended() const noexcept;
  std::string why_broken() const;

  static constexpr std::size_t kSmallUpload = std::size_t{64} << 10U;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::transport
