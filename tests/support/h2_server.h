// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace restic::test {

// What arrived of one request.
struct H2Request {
  std::int32_t stream = 0;
  std::map<std::string, std::string> headers;
  Bytes body;
};

// What goes back, also what no good server would send.
struct H2Reply {
  std::vector<std::pair<std::string, std::string>> headers{{":status", "200"}};
  Bytes body;
  bool never = false;             // no answer at all
  bool reset_after_body = false;  // RST_STREAM in place of the end of the stream
};

// The server's end of an HTTP/2 connection in memory, with the windows that rclone's has: 1 MiB for the whole
// connection. A request is answered as the script says, once it is complete. Not thread-safe.
class H2Server {
 public:
  using Script = std::function<H2Reply(const H2Request&)>;

  explicit H2Server(Script script);
  ~H2Server();
  H2Server(const H2Server&) = delete;
  H2Server& operator=(const H2Server&) = delete;

  // Bodies of requests for this path are never read, and so their bytes stay in the window.
  void stall(const std::string& path);
  // Requests for this path are answered before their bodies are read.
  void answer_early(const std::string& path);
  void receive(ByteView input);
  Bytes take_output();
  void go_away();
  std::size_t pings() const;
  std::size_t resets() const;  // streams that the client broke off

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::test
