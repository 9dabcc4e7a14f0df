// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "transport/h2_session.h"
#include "transport/http.h"
#include "transport/urgent_queue.h"

namespace restic::transport {

struct H2ConnectionLimits {
  unsigned streams = 48;  // requests in flight; the rest waits here, Demand before Ahead
  unsigned uploads = 8;   // of them, with a body of more than H2Session::kSmallUpload bytes
  std::chrono::milliseconds ping_after{
      15000};  // silence while requests run, before the server is asked for a sign
  std::chrono::milliseconds ping_grace{45000};  // and the time it has for it
};

// One HTTP/2 connection over a pair of pipes, run by one thread. It lives as long as the server at the other
// end: when that ends or breaks the protocol, or a change was broken off (see H2Session), what is under way
// fails, with Unavailable if it has no reason of its own, and so does every later `send`.
class H2Connection : public HttpChannel {
 public:
  // Why it ended, and a way to take what waits and was never begun: to be used once nothing more is sent.
  using TakeWaiting = std::function<std::vector<HttpCall>()>;
  using OnClosed = std::function<void(const Error&, const TakeWaiting&)>;

  // `on_closed` is called once, on the connection's thread, when it ends by itself or was given up, and
  // before what is under way fails; it must not destroy the connection. Both ends must be pipes (or sockets)
  // of ours; they are made non-blocking.
  H2Connection(UniqueFd from_server, UniqueFd to_server, const H2ConnectionLimits& limits,
               OnClosed on_closed);
  // Cancels what is under way and closes both ends. Not to be called on the connection's thread.
  ~H2Connection() override;

  void send(HttpRequest request, HttpDone done) override;
  // Ends the conversation for a reason that its owner knows first: what is under way fails with it. Returns
  // at once.
  void give_up(const Error& reason);
  // Complete answers so far. Thread-safe.
  std::uint64_t answers() const noexcept { return answers_; }

 private:
  void loop();
  void converse();
  void step();
  void start_waiting();
  void flush();
  void fill();
  void look_at_clock();
  void refuse_waiting(const Error& reason);
  std::optional<HttpCall> next_waiting();
  std::vector<HttpCall> take_waiting();
  void wake() const;

  const H2ConnectionLimits limits_;
  const OnClosed on_closed_;
  UniqueFd from_server_;
  UniqueFd to_server_;
  UniqueFd wakeup_;
  UniqueFd poller_;

  std::mutex mutex_;
  UrgentQueue<HttpCall> waiting_;
  UrgentQueue<HttpCall> waiting_uploads_;
  bool stopping_ = false;
  std::optional<Error> given_up_;

  std::atomic<std::uint64_t> answers_ = 0;
  // The thread's own.
  H2Session session_;
  bool waits_to_write_ = false;
  Bytes input_;
  Bytes output_;
  std::size_t output_sent_ = 0;
  H2Session::Clock::time_point last_input_;
  std::optional<H2Session::Clock::time_point> pinged_;
  std::optional<Error> failure_;

  std::thread thread_;
};

}  // namespace restic::transport
