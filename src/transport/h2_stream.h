// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "transport/h2_session.h"

namespace restic::transport {

// One request of an H2Session and the answer as far as it has come. It knows HTTP and no HTTP/2. Not
// thread-safe.
class H2Stream {
 public:
  using Clock = H2Session::Clock;

  H2Stream(HttpRequest request, HttpDone done, Clock::time_point now);

  // The answer's parts, in the order of their arrival. A part that breaks a rule leaves `problem` set; the
  // rest of the answer is then of no use.
  void on_header(std::string_view name, std::string_view value);
  void on_headers_end();
  void on_data(ByteView data);
  void on_end();    // the server closed its side in good order
  void on_close();  // nothing more will come, in good order or not
  const std::optional<Error>& problem() const noexcept { return problem_; }
  void set_problem(Error error);

  // Copies the next bytes of the request's body, at most `room`; 0 at its end. One that cannot be read leaves
  // `problem` set.
  std::size_t take_body(std::uint8_t* to, std::size_t room);
  bool body_sent() const noexcept { return sent_ == body_size(); }
  std::uint64_t body_size() const noexcept { return request_.body ? request_.body->size() : 0; }

  // Whether the server may be changing something for it: no GET, and its answer has not ended.
  bool may_go_on() const noexcept { return !ended_ && request_.method != "GET"; }

  void touch(Clock::time_point now) noexcept { last_progress_ = now; }
  bool expired(Clock::time_point now) const noexcept;

  // Calls the completion, once: the answer if it is complete, or says no, else the problem, else `otherwise`.
  void complete(const Error& otherwise);
  const HttpRequest& request() const noexcept { return request_; }

 private:
  // Makes room for `size` bytes of the body; where there is no memory for them that is the answer's problem.
  bool make_room(std::uint64_t size);
  void stop_arriving();
  bool success() const noexcept { return response_.status >= 200 && response_.status < 300; }

  HttpRequest request_;
  HttpDone done_;
  Clock::time_point started_;
  Clock::time_point last_progress_;
  std::unique_ptr<Content::Reader> body_;  // null: not begun
  std::uint64_t sent_ = 0;
  HttpResponse response_;
  std::optional<std::uint64_t> announced_;  // Content-Length
  std::size_t received_ = 0;
  bool headers_seen_ = false;
  bool arriving_ = false;
  bool ended_ = false;
  bool closed_ = false;
  std::optional<Error> problem_;
};

}  // namespace restic::transport
