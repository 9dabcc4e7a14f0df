// SPDX-License-Identifier: MIT
#include "transport/h2_stream.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/as_error.h"

namespace restic::transport {
namespace {

// Enough of an error page to explain a failure.
constexpr std::uint64_t kErrorBodyLimit = 4096;
// Bodies without an announced length start with this much room and double.
constexpr std::size_t kFirstRoom = 16384;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

H2Stream::H2Stream(HttpRequest request, HttpDone done, Clock::time_point now)
    : request_(std::move(request)), done_(std::move(done)), started_(now), last_progress_(now) {}

void H2Stream::set_problem(Error error) {
  if (!problem_) problem_ = std::move(error);
}

void H2Stream::on_header(std::string_view name, std::string_view value) {
  if (name == ":status") {
    response_.status = static_cast<int>(parse_number(value).value_or(0));
  } else if (name == "content-length") {
    announced_ = parse_number(value);
  } else if (name == "content-range") {
    // "bytes 0-99/1234"; "*" in place of the size says nothing.
    const std::size_t slash = value.rfind('/');
    if (slash != std::string_view::npos) response_.full_size = parse_number(value.substr(slash + 1));
  }
}

void H2Stream::on_headers_end() {
  if (headers_seen_ || response_.status < 200) return;  // trailers, or 1xx before the answer
  headers_seen_ = true;
  if (!success()) return;
  if (announced_.value_or(0) > request_.body_limit) {
    set_problem({Errc::Damaged, request_.path + " has " + std::to_string(*announced_) +
                                    " bytes, more than the " + std::to_string(request_.body_limit) +
                                    " it may have"});
    return;
  }
  if (announced_ && make_room(*announced_) && request_.arriving && *announced_ == request_.body_limit) {
    arriving_ = true;  // the body stays where it is: more bytes than announced are beyond the limit
    request_.arriving(response_.body, 0);
  }
  if (request_.begins) std::exchange(request_.begins, nullptr)();
}

void H2Stream::on_data(ByteView data) {
  if (problem_) return;
  const std::uint64_t limit = success() ? request_.body_limit : kErrorBodyLimit;
  if (data.size() > limit - received_) {
    if (success()) {
      set_problem({Errc::Damaged,
                   request_.path + " has more than the " + std::to_string(limit) + " bytes it may have"});
      return;
    }
    data = data.first(static_cast<std::size_t>(limit - received_));
  }
  if (data.size() > response_.body.size() - received_) {
    const std::uint64_t needed = received_ + data.size();
    const std::uint64_t generous = std::max<std::uint64_t>({needed, kFirstRoom, 2 * response_.body.size()});
    if (!make_room(std::max(needed, std::min(generous, limit)))) return;
  }
  if (!data.empty()) std::memcpy(response_.body.data() + received_, data.data(), data.size());
  received_ += data.size();
  if (arriving_) request_.arriving(response_.body, received_);
}

bool H2Stream::make_room(std::uint64_t size) {
  try {
    response_.body.resize(static_cast<std::size_t>(size));
    return true;
  } catch (const std::exception&) {
    set_problem(
        {Errc::Io, "there is no memory for the " + std::to_string(size) + " bytes of " + request_.path});
    return false;
  }
}

void H2Stream::on_end() { ended_ = true; }

void H2Stream::on_close() { closed_ = true; }

std::size_t H2Stream::take_body(std::uint8_t* to, std::size_t room) {
  if (room == 0 || body_sent()) return 0;
  try {
    if (!body_) body_ = request_.body->read();
    const ByteView piece = body_->next(room);
    if (piece.empty()) throw Error(Errc::Io, "what is to be saved as " + request_.path + " ends too early");
    std::memcpy(to, piece.data(), piece.size());
    sent_ += piece.size();
    return piece.size();
  } catch (const std::exception& problem) {
    set_problem(as_error(problem));
    return 0;
  }
}

bool H2Stream::expired(Clock::time_point now) const noexcept {
  return now - last_progress_ >= request_.deadline.idle || now - started_ >= request_.deadline.total;
}

void H2Stream::stop_arriving() {
  if (std::exchange(arriving_, false)) request_.arriving({}, 0);
}

void H2Stream::complete(const Error& otherwise) {
  const HttpDone done = std::move(done_);
  const bool incomplete = success() && announced_ && *announced_ != received_;
  // Of any other status the body is an ornament. rclone 1.60 announces with its 404 the length that the file
  // had when it last saw it, which nghttp2 takes for a broken answer.
  const bool says_enough = headers_seen_ && (ended_ || (closed_ && !success()));
  if (problem_ || !says_enough || incomplete) stop_arriving();
  if (problem_) return done(std::move(*problem_));
  if (!says_enough) return done(otherwise);
  if (incomplete) {
    return done(Error(Errc::Unavailable, "the answer for " + request_.path + " ended after " +
                                             std::to_string(received_) + " of " +
                                             std::to_string(*announced_) + " bytes"));
  }
  response_.body.resize(received_);
  done(std::move(response_));
}

}  // namespace restic::transport
