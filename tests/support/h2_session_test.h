// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/h2_server.h"
#include "transport/h2_session.h"

namespace restic::transport {

inline const H2Session::Clock::time_point kStart{};

inline Bytes numbered_bytes(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return bytes;
}

// A session and a server that talk through memory, in pieces of any size.
class H2SessionTest : public testing::Test {
 protected:
  using Outcome = std::shared_ptr<std::optional<Result<HttpResponse>>>;

  Outcome send(HttpRequest request) {
    auto outcome = std::make_shared<std::optional<Result<HttpResponse>>>();
    request.deadline = {std::chrono::seconds(10), std::chrono::seconds(60)};
    session_.submit(
        std::move(request),
        [outcome](Result<HttpResponse> result) {
          EXPECT_FALSE(outcome->has_value()) << "completed twice";
          outcome->emplace(std::move(result));
        },
        kStart);
    return outcome;
  }
  Outcome get(const std::string& path, std::uint64_t limit = 1U << 30U) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    request.body_limit = limit;
    return send(std::move(request));
  }
  Outcome post(const std::string& path, std::size_t size) {
    HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.body = in_memory(std::make_shared<const Bytes>(numbered_bytes(size)));
    return send(std::move(request));
  }

  // Lets both talk until neither has anything to say.
  void talk(std::size_t piece = 1U << 20U) {
    for (bool quiet = false; !quiet;) {
      quiet = true;
      for (ByteView out = session_.next_output(); !out.empty(); out = session_.next_output()) {
        server_.receive(out);
        quiet = false;
      }
      const Bytes in = server_.take_output();
      for (std::size_t at = 0; at < in.size(); at += piece) {
        session_.receive(ByteView(in).subspan(at, std::min(piece, in.size() - at)), kStart);
        quiet = false;
      }
    }
  }

  static Errc code_of(const Outcome& outcome) {
    const bool failed = outcome->has_value() && !(*outcome)->ok();
    EXPECT_TRUE(failed);
    return failed ? (*outcome)->error().code() : Errc::Usage;
  }
  static const HttpResponse& response(const Outcome& outcome) {
    if (!outcome->has_value()) throw std::runtime_error("not completed");
    return (*outcome)->value();
  }

  test::H2Reply reply_;
  std::vector<test::H2Request> seen_;
  test::H2Server server_{[this](const test::H2Request& request) {
    seen_.push_back(request);
    return reply_;
  }};
  H2Session session_;
};

}  // namespace restic::transport
