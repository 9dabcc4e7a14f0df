// SPDX-License-Identifier: MIT
#include "transport/h2_connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "transport/signal_mask.h"

namespace restic::transport {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} << 10U;
constexpr std::size_t kWriteSize = std::size_t{128} << 10U;
// How exact deadlines are. Nothing ticks while no request is under way.
constexpr int kTickMilliseconds = 100;

std::string reason_text(int code) { return std::generic_category().message(code); }

void set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    throw Error(Errc::Io, "cannot set up a pipe: " + reason_text(errno));
  }
}

void watch(int poller, int operation, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(poller, operation, fd, &event) != 0) {
    throw Error(Errc::Io, "cannot watch a pipe: " + reason_text(errno));
  }
}

}  // namespace

H2Connection::H2Connection(UniqueFd from_server, UniqueFd to_server, const H2ConnectionLimits& limits,
                           OnClosed on_closed)
    : limits_(limits),
      on_closed_(std::move(on_closed)),
      from_server_(std::move(from_server)),
      to_server_(std::move(to_server)),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      poller_(::epoll_create1(EPOLL_CLOEXEC)),
      input_(kReadSize) {
  if (!wakeup_ || !poller_) throw Error(Errc::Io, "cannot set up a connection: " + reason_text(errno));
  set_nonblocking(from_server_.get());
  set_nonblocking(to_server_.get());
  watch(poller_.get(), EPOLL_CTL_ADD, wakeup_.get(), EPOLLIN);
  watch(poller_.get(), EPOLL_CTL_ADD, from_server_.get(), EPOLLIN);
  watch(poller_.get(), EPOLL_CTL_ADD, to_server_.get(), 0);
  thread_ = std::thread([this] { loop(); });
}

H2Connection::~H2Connection() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (!given_up_) given_up_ = Error(Errc::Cancelled, "the connection is being closed");
  }
  wake();
  thread_.join();
}

void H2Connection::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void H2Connection::send(HttpRequest request, HttpDone done) {
  const Urgency urgency = request.urgency;
  const bool large = request.body && request.body->size() > H2Session::kSmallUpload;
  {
    std::lock_guard lock(mutex_);
    (large ? waiting_uploads_ : waiting_).push(urgency, {std::move(request), std::move(done)});
  }
  wake();
}

void H2Connection::give_up(const Error& reason) {
  {
    std::lock_guard lock(mutex_);
    if (!given_up_) given_up_ = reason;
  }
  wake();
}

void H2Connection::loop() {
  block_signals_on_this_thread();
  converse();
  // First, so that what fails now and is tried again goes to the next connection.
  if (failure_->code() != Errc::Cancelled) on_closed_(*failure_, [this] { return take_waiting(); });
  session_.fail_all(*failure_);
  refuse_waiting(*failure_);
  // The server sees the end of its input, and ends.
  ::epoll_ctl(poller_.get(), EPOLL_CTL_DEL, from_server_.get(), nullptr);
  ::epoll_ctl(poller_.get(), EPOLL_CTL_DEL, to_server_.get(), nullptr);
  from_server_.reset();
  to_server_.reset();
  for (;;) {
    refuse_waiting(*failure_);
    {
      std::lock_guard lock(mutex_);
      if (stopping_ && waiting_.empty() && waiting_uploads_.empty()) return;
    }
    epoll_event event{};
    (void)::epoll_wait(poller_.get(), &event, 1, -1);
    std::uint64_t count = 0;
    (void)!::read(wakeup_.get(), &count, sizeof count);
  }
}

void H2Connection::converse() {
  last_input_ = H2Session::Clock::now();
  while (!failure_) {
    try {
      step();
    } catch (const Error& error) {
      failure_ = error;
    } catch (const std::exception& failure) {
      failure_ = Error(Errc::Unavailable, std::string("the connection failed: ") + failure.what());
    }
  }
}

void H2Connection::step() {
  start_waiting();
  flush();
  if (session_.ended()) throw Error(Errc::Unavailable, session_.why_broken());
  std::array<epoll_event, 3> events{};
  const int timeout = session_.active() == 0 ? -1 : kTickMilliseconds;
  const int count = ::epoll_wait(poller_.get(), events.data(), events.size(), timeout);
  if (count < 0 && errno != EINTR) throw Error(Errc::Io, "cannot wait: " + reason_text(errno));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == wakeup_.get()) {
      std::uint64_t drained = 0;
      (void)!::read(wakeup_.get(), &drained, sizeof drained);
    } else if (event.data.fd == from_server_.get()) {
      fill();
    } else if ((event.events & (EPOLLERR | EPOLLHUP)) != 0 && count == 1) {
      // Nothing left to read, and nobody reads what we write.
      throw Error(Errc::Unavailable, "the server closed its input");
    }
  }
  look_at_clock();
}

std::optional<HttpCall> H2Connection::next_waiting() {
  std::lock_guard lock(mutex_);
  if (given_up_) throw Error(*given_up_);
  if (session_.closing()) return std::nullopt;  // what waits goes to the next connection
  if (session_.active() >= limits_.streams) return std::nullopt;
  if (!waiting_.empty()) return waiting_.pop();
  if (!waiting_uploads_.empty() && session_.active_uploads() < limits_.uploads) return waiting_uploads_.pop();
  return std::nullopt;
}

void H2Connection::start_waiting() {
  while (std::optional<HttpCall> next = next_waiting()) {
    const auto now = H2Session::Clock::now();
    if (session_.active() == 0) last_input_ = now;  // the silence before did not mean anything
    HttpDone counted = [this, done = std::move(next->done)](Result<HttpResponse> result) {
      if (result.ok()) ++answers_;
      done(std::move(result));
    };
    session_.submit(std::move(next->request), std::move(counted), now);
  }
}

void H2Connection::flush() {
  for (;;) {
    if (output_sent_ == output_.size()) {
      output_.clear();
      output_sent_ = 0;
      while (output_.size() < kWriteSize) {
        const ByteView piece = session_.next_output();
        if (piece.empty()) break;
        output_.insert(output_.end(), piece.begin(), piece.end());
      }
      if (output_.empty()) break;
    }
    const ssize_t wrote =
        ::write(to_server_.get(), output_.data() + output_sent_, output_.size() - output_sent_);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) break;
    if (wrote < 0) throw Error(Errc::Unavailable, "cannot write to the server: " + reason_text(errno));
    output_sent_ += static_cast<std::size_t>(wrote);
  }
  const bool pending = output_sent_ != output_.size();
  if (pending == waits_to_write_) return;
  waits_to_write_ = pending;
  watch(poller_.get(), EPOLL_CTL_MOD, to_server_.get(), pending ? std::uint32_t{EPOLLOUT} : 0U);
}

void H2Connection::fill() {
  const ssize_t got = ::read(from_server_.get(), input_.data(), input_.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got < 0) throw Error(Errc::Unavailable, "cannot read from the server: " + reason_text(errno));
  if (got == 0) throw Error(Errc::Unavailable, "the server ended");
  last_input_ = H2Session::Clock::now();
  pinged_.reset();
  session_.receive({input_.data(), static_cast<std::size_t>(got)}, last_input_);
}

void H2Connection::look_at_clock() {
  const auto now = H2Session::Clock::now();
  if (session_.active() == 0) {
    pinged_.reset();
    return;
  }
  session_.check_deadlines(now);
  if (pinged_ && now - *pinged_ > limits_.ping_grace) {
    throw Error(Errc::Unavailable, "the server gave no sign of life for too long");
  }
  if (!pinged_ && now - last_input_ > limits_.ping_after) {
    session_.ping();
    pinged_ = now;
  }
}

std::vector<HttpCall> H2Connection::take_waiting() {
  std::lock_guard lock(mutex_);
  std::vector<HttpCall> calls;
  while (!waiting_.empty()) calls.push_back(waiting_.pop());
  while (!waiting_uploads_.empty()) calls.push_back(waiting_uploads_.pop());
  return calls;
}

void H2Connection::refuse_waiting(const Error& reason) {
  for (const HttpCall& call : take_waiting()) call.done(reason);
}

}  // namespace restic::transport
