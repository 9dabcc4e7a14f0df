// SPDX-License-Identifier: MIT
// A TCP proxy that makes loopback behave like a long line, for the benchmarks:
//   line_proxy LISTEN_PORT TARGET_PORT DELAY_MS MBIT_PER_S
// Bytes of each direction share one link of the given rate (0: unlimited) and arrive DELAY_MS later; the
// first bytes of a connection wait a round trip more, as a TCP handshake would. One thread; at most
// kQueueLimit bytes wait in each direction of a connection. When it listens, it prints one line to stdout, on
// whether it goes before other programs; on SIGUSR1 one line "connections N up BYTES down BYTES"; on SIGTERM
// it prints that and ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace restic::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kQueueLimit = 32U << 20U;
constexpr std::size_t kReadSize = 64U << 10U;

// One direction of the line, shared by all connections.
struct Link {
  double seconds_per_byte = 0;
  Clock::duration delay{};
  Clock::time_point free_at{};
  std::uint64_t bytes = 0;

  // When bytes sent now have arrived at the far end.
  Clock::time_point send(std::size_t count, Clock::time_point earliest) {
    const auto start = std::max({Clock::now(), free_at, earliest});
    free_at = start + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(static_cast<double>(count) * seconds_per_byte));
    bytes += count;
    return free_at + delay;
  }
};

struct Parcel {
  Clock::time_point due;
  Bytes bytes;
  std::size_t written = 0;
};

// Bytes on their way from one socket of a connection to the other.
struct Flow {
  Link* link = nullptr;
  int from = -1, to = -1;
  std::deque<Parcel> queue;
  std::size_t queued = 0;
  bool ended = false;    // `from` has sent its last byte
  bool shut = false;     // …and `to` was told
  bool blocked = false;  // `to` takes no more for now
};

struct Connection {
  UniqueFd client, server;
  Clock::time_point opened;
  Flow up, down;
  bool broken = false;
};

UniqueFd tcp_socket() { return UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

class Proxy {
 public:
  Proxy(std::uint16_t listen_port, std::uint16_t target_port, double delay_ms, double mbit)
      : target_(loopback(target_port)), epoll_(epoll_create1(EPOLL_CLOEXEC)), listener_(tcp_socket()) {
    for (Link* link : {&up_, &down_}) {
      link->delay =
          std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(delay_ms));
      link->seconds_per_byte = mbit > 0 ? 8.0 / (mbit * 1e6) : 0;
    }
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(listen_port);
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_.get(), 512) != 0) {
      std::perror("line_proxy: listen");
      std::exit(1);
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_ = UniqueFd(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    watch(listener_.get(), EPOLLIN);
    watch(signals_.get(), EPOLLIN);
    watch(timer_.get(), EPOLLIN);
  }

  void run() {
    while (!done_) {
      arm_timer();
      epoll_event events[64];
      const int count = epoll_wait(epoll_.get(), events, 64, -1);
      for (int i = 0; i < count; ++i) handle(events[i].data.fd);
      for (auto& connection : connections_) move(*connection);
      connections_.remove_if(
          [this](const std::unique_ptr<Connection>& connection) { return finished(*connection); });
    }
  }

 private:
  void watch(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void handle(int fd) {
    if (fd == listener_.get()) {
      accept_all();
    } else if (fd == signals_.get()) {
      signalfd_siginfo info{};
      while (read(fd, &info, sizeof info) == sizeof info) {
        std::printf("connections %llu up %llu down %llu\n", static_cast<unsigned long long>(accepted_),
                    static_cast<unsigned long long>(up_.bytes), static_cast<unsigned long long>(down_.bytes));
        std::fflush(stdout);
        if (info.ssi_signo == SIGTERM) done_ = true;
      }
    } else if (fd == timer_.get()) {
      std::uint64_t ticks = 0;
      while (read(fd, &ticks, sizeof ticks) > 0) {
      }
    }
  }

  void accept_all() {
    while (true) {
      UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!client) return;
      UniqueFd server = tcp_socket();
      if (connect(server.get(), reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0 &&
          errno != EINPROGRESS)
        continue;
      auto connection = std::make_unique<Connection>();
      const int on = 1;
      for (const int fd : {client.get(), server.get()}) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
      }
      connection->opened = Clock::now();
      connection->up.link = &up_;
      connection->down.link = &down_;
      connection->up.from = connection->down.to = client.get();
      connection->up.to = connection->down.from = server.get();
      connection->client = std::move(client);
      connection->server = std::move(server);
      connections_.push_back(std::move(connection));
      ++accepted_;
    }
  }

  void move(Connection& connection) {
    const auto earliest = connection.opened + 2 * up_.delay;  // the handshake's round trip
    for (Flow* flow : {&connection.up, &connection.down}) {
      take_in(*flow, earliest, connection.broken);
      hand_out(*flow, connection.broken);
    }
  }

  void take_in(Flow& flow, Clock::time_point earliest, bool& broken) {
    while (!flow.ended && flow.queued < kQueueLimit) {
      const ssize_t got = read(flow.from, buffer_.data(), buffer_.size());
      if (got < 0) {
        if (errno != EAGAIN && errno != ENOTCONN) broken = true;
        return;
      }
      if (got == 0) {
        flow.ended = true;
        return;
      }
      Parcel parcel;
      parcel.bytes.assign(buffer_.begin(), buffer_.begin() + got);
      parcel.due = flow.link->send(parcel.bytes.size(), earliest);
      flow.queued += parcel.bytes.size();
      flow.queue.push_back(std::move(parcel));
    }
  }

  static void hand_out(Flow& flow, bool& broken) {
    const auto now = Clock::now();
    flow.blocked = false;
    while (!flow.queue.empty() && flow.queue.front().due <= now) {
      Parcel& parcel = flow.queue.front();
      const ssize_t put = send(flow.to, parcel.bytes.data() + parcel.written,
                               parcel.bytes.size() - parcel.written, MSG_NOSIGNAL);
      if (put < 0) {
        if (errno == EAGAIN || errno == ENOTCONN) {
          flow.blocked = true;
        } else {
          broken = true;
        }
        return;
      }
      parcel.written += static_cast<std::size_t>(put);
      flow.queued -= static_cast<std::size_t>(put);
      if (parcel.written == parcel.bytes.size()) flow.queue.pop_front();
    }
    if (flow.ended && flow.queue.empty() && !flow.shut) {
      shutdown(flow.to, SHUT_WR);
      flow.shut = true;
    }
  }

  static bool finished(const Connection& connection) {
    return connection.broken || (connection.up.shut && connection.down.shut);
  }

  void arm_timer() {
    auto due = Clock::time_point::max();
    for (const auto& connection : connections_) {
      for (const Flow* flow : {&connection->up, &connection->down}) {
        if (!flow->queue.empty() && !flow->blocked) due = std::min(due, flow->queue.front().due);
      }
    }
    itimerspec when{};
    if (due != Clock::time_point::max()) {
      const auto wait = std::max<std::int64_t>(
          1000, std::chrono::duration_cast<std::chrono::nanoseconds>(due - Clock::now()).count());
      when.it_value.tv_sec = wait / 1'000'000'000;
      when.it_value.tv_nsec = wait % 1'000'000'000;
    }
    timerfd_settime(timer_.get(), 0, &when, nullptr);
  }

  sockaddr_in target_;
  UniqueFd epoll_, listener_, signals_, timer_;
  Link up_, down_;
  Bytes buffer_ = Bytes(kReadSize);  // made once: most looks at a socket find nothing
  std::list<std::unique_ptr<Connection>> connections_;
  std::uint64_t accepted_ = 0;
  bool done_ = false;
};

// A line does not get slower when the programs at its ends compute: it goes before them, where that is
// granted.
void go_before_others() {
  const sched_param first{.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first) == 0) {
    std::puts("the line goes before other programs (SCHED_FIFO was granted)");
  } else {
    std::printf("the line competes with other programs (SCHED_FIFO was refused: %s)\n", std::strerror(errno));
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace restic::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: line_proxy LISTEN_PORT TARGET_PORT DELAY_MS MBIT_PER_S\n");
    return 1;
  }
  restic::bench::Proxy proxy(static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10)),
                             static_cast<std::uint16_t>(std::strtoul(argv[2], nullptr, 10)),
                             std::strtod(argv[3], nullptr), std::strtod(argv[4], nullptr));
  restic::bench::go_before_others();
  proxy.run();
}
