// SPDX-License-Identifier: MIT
// The kernel is played by the test: its requests come through a pair of sockets, so nothing is mounted, and
// the order of things is the test's.
#include "fs/worker_pool.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>

#include "base/unique_fd.h"
#include "fs/ops.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kLimit = 10s;  // for what ought to happen at once

// Nodes that are answered at once, and when the test lets them go; the pool is told of the wait, or is not.
constexpr fuse_ino_t kQuick = 1, kAnnounced = 2, kSilent = 3;
constexpr unsigned kAll = 1000;

class WorkerPoolTest : public ::testing::Test {
 protected:
  WorkerPoolTest() {
    int ends[2] = {};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    kernel_ = UniqueFd(ends[0]);
    fuse_set_log_func([](fuse_log_level, const char*, va_list) {});
    fuse_lowlevel_ops operations{};
    operations.getattr = [](fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
      static_cast<WorkerPoolTest*>(fuse_req_userdata(request))->answer(request, node);
    };
    std::string name = "worker_pool_test";
    std::array<char*, 1> words{name.data()};
    fuse_args args = FUSE_ARGS_INIT(1, words.data());
    session_ = fuse_session_new(&args, &operations, sizeof operations, this);
    fuse_opt_free_args(&args);
    if (session_ == nullptr) std::abort();
    const std::string device = "/dev/fd/" + std::to_string(ends[1]);
    if (fuse_session_mount(session_, device.c_str()) != 0) std::abort();  // now it owns that end
  }
  ~WorkerPoolTest() override {
    for (const fuse_ino_t node : {kAnnounced, kSilent}) let_go(node, kAll);
    pool_.reset();
    fuse_session_destroy(session_);
  }

  // The keeper looks once or twice while the first requests come, and may help then; after that it sleeps for
  // the tick, which is longer than any test. So what must go without it is done three times and more.
  void start(unsigned threads, std::chrono::microseconds tick = 1h) {
    pool_ = std::make_unique<WorkerPool>(
        session_, threads, [this](int error) { failed_.set_value(error); },
        [this] { all_ended_.set_value(); }, tick);
    pool_->start();
    struct {
      fuse_in_header header;
      fuse_init_in body;
    } request{};
    request.body.major = FUSE_KERNEL_VERSION;
    request.body.minor = FUSE_KERNEL_MINOR_VERSION;
    ask(request, FUSE_INIT, 0);
    ASSERT_TRUE(answered());
  }
  void ask(fuse_ino_t node) {
    struct {
      fuse_in_header header;
      fuse_getattr_in body;
    } request{};
    if (node != kQuick) ++to_wait_;
    ask(request, FUSE_GETATTR, node);
  }
  // Returns when a worker has the request and waits.
  void occupy_a_worker(fuse_ino_t node) {
    ask(node);
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kLimit, [&] { return have_waited_ == to_wait_; }));
  }
  // Whether the next answer comes, whichever it is.
  bool answered() const {
    pollfd end{kernel_.get(), POLLIN, 0};
    if (poll(&end, 1, static_cast<int>(kLimit.count())) != 1) return false;
    std::array<char, 4096> reply{};
    return recv(kernel_.get(), reply.data(), reply.size(), 0) > 0;
  }
  void let_go(fuse_ino_t node, unsigned requests) {
    const std::lock_guard lock(mutex_);
    may_go_[node] += requests;
    changed_.notify_all();
  }

  UniqueFd kernel_;
  fuse_session* session_ = nullptr;
  std::unique_ptr<WorkerPool> pool_;
  std::promise<int> failed_;
  std::promise<void> all_ended_;

 private:
  template <class Request>
  void ask(Request& request, std::uint32_t operation, fuse_ino_t node) {
    request.header.len = sizeof request;
    request.header.opcode = operation;
    request.header.unique = ++unique_;
    request.header.nodeid = node;
    ASSERT_EQ(send(kernel_.get(), &request, sizeof request, 0), static_cast<ssize_t>(sizeof request));
  }
  void answer(fuse_req_t request, fuse_ino_t node) {
    if (node == kAnnounced) pool_->about_to_wait();
    if (node != kQuick) {
      std::unique_lock lock(mutex_);
      ++have_waited_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return may_go_[node] != 0; });
      --may_go_[node];
    }
    struct stat attributes {};
    attributes.st_ino = node;
    attributes.st_mode = S_IFDIR | 0755;
    fuse_reply_attr(request, &attributes, 0);
  }

  std::uint64_t unique_ = 0;
  unsigned to_wait_ = 0;  // requests that were made and are not quick
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned have_waited_ = 0;  // those that a worker has, or has answered
  std::array<unsigned, kSilent + 1> may_go_{};
};

TEST_F(WorkerPoolTest, WhoIsAboutToWaitHasAnotherOneListen) {
  start(6);
  for (unsigned waiting = 1; waiting <= 5; ++waiting) {
    occupy_a_worker(kAnnounced);
    ask(kQuick);
    ASSERT_TRUE(answered()) << waiting;
  }
  let_go(kAnnounced, 5);
  for (unsigned waiting = 1; waiting <= 5; ++waiting) EXPECT_TRUE(answered()) << waiting;
}

TEST_F(WorkerPoolTest, WhoTakesOneOfTwoRequestsHasAnotherOneListen) {
  start(8);
  for (int round = 0; round < 3; ++round) {
    occupy_a_worker(kAnnounced);
    occupy_a_worker(kSilent);  // now nobody listens
    ask(kSilent);
    ask(kQuick);
    let_go(kAnnounced, 1);  // that worker takes the first of the two
    ASSERT_TRUE(answered()) << round;
    ASSERT_TRUE(answered()) << round;
  }
}

TEST_F(WorkerPoolTest, TheKeeperHasAnotherOneListenWhenNobodySaidAnything) {
  start(6, 500us);
  for (int waiting = 0; waiting < 5; ++waiting) {
    occupy_a_worker(kSilent);
    ask(kQuick);
    ASSERT_TRUE(answered()) << waiting;
  }
}

TEST_F(WorkerPoolTest, AllWorkersEndWhenTheDeviceFails) {
  start(4);
  occupy_a_worker(kAnnounced);
  const char no_request = 0;
  ASSERT_EQ(send(kernel_.get(), &no_request, 1, 0), 1);
  auto failed = failed_.get_future();
  ASSERT_EQ(failed.wait_for(kLimit), std::future_status::ready);
  EXPECT_EQ(failed.get(), EIO);
  auto ended = all_ended_.get_future();
  EXPECT_EQ(ended.wait_for(0s), std::future_status::timeout);  // one has its request still to answer
  let_go(kAnnounced, 1);
  ASSERT_EQ(ended.wait_for(kLimit), std::future_status::ready);
  EXPECT_TRUE(answered());
}

TEST_F(WorkerPoolTest, WhenAllWaitForLongThereAreMoreUpToALimit) {
  start(2, 1ms);
  const unsigned most = WorkerPool::kGrowth * 2;
  for (unsigned i = 0; i + 1 < most; ++i) occupy_a_worker(kSilent);
  ask(kQuick);
  EXPECT_TRUE(answered());
  occupy_a_worker(kSilent);
  ask(kQuick);
  pollfd answer{kernel_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&answer, 1, 300), 0) << "that was the last";
  let_go(kSilent, 1);
  EXPECT_TRUE(answered());
  EXPECT_TRUE(answered());
}

}  // namespace
}  // namespace restic::fs
