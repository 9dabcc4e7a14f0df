// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "transport/backend.h"

namespace restic::transport {

// How long one attempt may take. Waiting in a queue of ours does not count.
struct HttpDeadline {
  std::chrono::milliseconds idle;   // without a byte in either direction
  std::chrono::milliseconds total;  // from the start of the attempt, however it trickles
};

struct HttpRequest {
  std::string method;
  std::string path;                // with query, percent-encoded: "/keys/", "/?create=true"
  std::optional<ByteRange> range;  // GET: asks for these bytes only
  SharedContent body;              // POST; null: no body
  std::uint64_t body_limit = 0;    // a 2xx answer with more bytes than that is Damaged
  Urgency urgency = Urgency::Demand;
  HttpDeadline deadline;
  // Called at most once, before `done`, when the first words of an answer have come: its status is 2xx. On a
  // thread of the channel's; must not block and may send.
  std::function<void()> begins;
  // Called while an answer of exactly `body_limit` bytes comes, as Backend's load_range_arriving() says.
  OnArriving arriving;
};

// An answer, whatever its status. A 2xx one is complete; bodies of others are cut off after a few KiB, and
// may have broken off before.
struct HttpResponse {
  int status = 0;
  std::optional<std::uint64_t> full_size;  // of the file, from Content-Range
  Bytes body;
};

// An Error says that there is no such answer: Unavailable (the connection or the stream broke, the body
// ended before its announced length), Timeout, Damaged (larger than its limit), Cancelled.
using HttpDone = std::function<void(Result<HttpResponse>)>;

// A request that waits to be sent, and whom to tell.
struct HttpCall {
  HttpRequest request;
  HttpDone done;
};

// Something that carries HTTP requests. `send` is thread-safe, returns at once and calls `done` exactly once,
// on a thread of the channel's own; `done` must not block and may send. The destructor completes what is left
// (Cancelled).
class HttpChannel {
 public:
  virtual ~HttpChannel() = default;
  virtual void send(HttpRequest request, HttpDone done) = 0;
};

}  // namespace restic::transport
