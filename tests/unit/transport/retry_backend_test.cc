// SPDX-License-Identifier: MIT
#include "transport/retry_backend.h"

#include <gtest/gtest.h>

#include <future>

#include "support/fake_backend.h"
#include "transport/blocking.h"

namespace restic::transport {
namespace {

using test::Call;
using test::FakeBackend;
using test::Fault;
using test::numbered_file;
using namespace std::chrono_literals;

// A timer whose hours pass at once: it moves its clock to each action as it comes, and remembers the waits.
class EagerTimer : public Timer {
 public:
  struct Record {
    std::mutex mutex;
    std::chrono::milliseconds now{0};
    std::vector<std::chrono::milliseconds> waits;
  };
  explicit EagerTimer(std::shared_ptr<Record> record) : record_(std::move(record)) {}

  std::chrono::milliseconds now() const override {
    std::lock_guard lock(record_->mutex);
    return record_->now;
  }
  void after(std::chrono::milliseconds delay, Action action) override {
    {
      std::lock_guard lock(record_->mutex);
      record_->now += delay;
      record_->waits.push_back(delay);
    }
    action(false);
  }
  void cancel_all() override {}

 private:
  std::shared_ptr<Record> record_;
};

class RetryBackendTest : public testing::Test {
 protected:
  RetryBackendTest() {
    auto fake = std::make_unique<FakeBackend>();
    fake_ = fake.get();
    fake_->put(file_, Bytes(10));
    retry_ = std::make_unique<RetryBackend>(std::move(fake), RetryPolicy{},
                                            std::make_unique<EagerTimer>(timer_), log_);
  }

  void fail(Errc code, unsigned times) {
    auto left = std::make_shared<std::atomic<unsigned>>(times);
    fake_->set_hook([code, left](const Call&) {
      Fault fault;
      if (*left > 0) {
        --*left;
        fault.fail = Error(code, "made to fail");
      }
      return fault;
    });
  }
  Errc outcome() {
    try {
      load(*retry_, file_, 100);
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "the load succeeded";
    return Errc::Io;
  }

  const FileName file_ = numbered_file(FileType::Index, 1);
  Log log_{Log::Sink::Nothing};
  std::shared_ptr<EagerTimer::Record> timer_ = std::make_shared<EagerTimer::Record>();
  FakeBackend* fake_;
  std::unique_ptr<RetryBackend> retry_;
};

TEST_F(RetryBackendTest, RepeatsWhatMayPass) {
  for (const Errc code : {Errc::Unavailable, Errc::Timeout}) {
    fail(code, 3);
    EXPECT_EQ(load(*retry_, file_, 100).size(), 10U);
    EXPECT_EQ(fake_->count(Call::Kind::Load), 4U);
    fake_->forget_calls();
  }
}

TEST_F(RetryBackendTest, NeverRepeatsWhatWillNotPass) {
  for (const Errc code : {Errc::NotFound, Errc::Denied, Errc::Usage, Errc::Full, Errc::Cancelled, Errc::Io}) {
    fake_->forget_calls();
    fail(code, 1000);
    EXPECT_EQ(outcome(), code);
    EXPECT_EQ(fake_->count(Call::Kind::Load), 1U);
  }
}

TEST_F(RetryBackendTest, GivesDamageTwoMoreChances) {
  fail(Errc::Damaged, 2);
  EXPECT_EQ(load(*retry_, file_, 100).size(), 10U);
  fail(Errc::Damaged, 3);
  EXPECT_EQ(outcome(), Errc::Damaged);
}

TEST_F(RetryBackendTest, WaitsLongerEachTimeAndGivesUpInTime) {
  fail(Errc::Unavailable, 1000);
  EXPECT_EQ(outcome(), Errc::Unavailable);
  ASSERT_GT(timer_->waits.size(), 6U);
  for (std::size_t i = 0; i < timer_->waits.size(); ++i) {
    const auto most =
        std::min<std::chrono::milliseconds>(8000ms, 200ms * (1 << std::min<std::size_t>(i, 20)));
    EXPECT_LE(timer_->waits[i], most);
    EXPECT_GE(timer_->waits[i], most / 2);
  }
  EXPECT_LE(timer_->now, 60s);
}

TEST_F(RetryBackendTest, ALongTransferThatBreaksOffIsBegunAgainButASilenceIsNot) {
  for (const Errc code : {Errc::Unavailable, Errc::Damaged, Errc::Timeout}) {
    bool first = true;
    fake_->forget_calls();
    fake_->set_hook([&, code](const Call&) {
      Fault fault;
      if (!std::exchange(first, false)) return fault;
      const std::lock_guard lock(timer_->mutex);
      timer_->now += 10min;
      fault.fail = Error(code, "made to fail");
      return fault;
    });
    if (code == Errc::Timeout) {
      EXPECT_EQ(outcome(), code);
    } else {
      EXPECT_EQ(load(*retry_, file_, 100).size(), 10U);
    }
    EXPECT_EQ(fake_->count(Call::Kind::Load), code == Errc::Timeout ? 1U : 2U);
  }
}

TEST_F(RetryBackendTest, ACallAfterALongOutageHasItsOwnTime) {
  fail(Errc::Unavailable, 1000);
  EXPECT_EQ(outcome(), Errc::Unavailable);
  fail(Errc::Unavailable, 2);
  EXPECT_EQ(load(*retry_, file_, 100).size(), 10U);
}

TEST_F(RetryBackendTest, TellsOfArrivingBytesAtEachTry) {
  struct Lending : FakeBackend {
    bool lends_threads() const override { return true; }
  };
  auto fake = std::make_unique<Lending>();
  fake->put(file_, Bytes(2 * FakeBackend::kPart));
  bool first = true;
  fake->set_hook([&](const Call&) {
    Fault fault;
    if (std::exchange(first, false)) fault.fail_after = Error(Errc::Timeout, "made to fail");
    return fault;
  });
  RetryBackend retry(std::move(fake), RetryPolicy{}, std::make_unique<EagerTimer>(timer_), log_);
  std::vector<std::size_t> told;
  const auto arriving = [&](std::span<std::uint8_t>, std::size_t arrived) { told.push_back(arrived); };
  const Bytes loaded = await<Bytes>([&](LoadDone done) {
    retry.load_range_arriving(file_, {0, 2 * FakeBackend::kPart}, Urgency::Demand, arriving, std::move(done));
  });
  EXPECT_EQ(loaded.size(), 2 * FakeBackend::kPart);
  constexpr std::size_t kPart = FakeBackend::kPart;
  EXPECT_EQ(told, (std::vector<std::size_t>{0, kPart, 2 * kPart, 0, 0, kPart, 2 * kPart}));
}

TEST_F(RetryBackendTest, ARemoveWhoseAnswerWasLostHasSucceeded) {
  auto first = std::make_shared<std::atomic<bool>>(true);
  fake_->set_hook([first](const Call&) {
    Fault fault;
    if (first->exchange(false)) fault.fail_after = Error(Errc::Timeout, "no answer");
    return fault;
  });
  remove(*retry_, file_);
  EXPECT_EQ(fake_->count(Call::Kind::Remove), 2U);
  EXPECT_FALSE(fake_->get(file_).has_value());
}

TEST_F(RetryBackendTest, AFileThatWasNeverThereIsNotFoundAtOnce) {
  const FileName missing = numbered_file(FileType::Lock, 9);
  EXPECT_THROW(remove(*retry_, missing), Error);
  EXPECT_EQ(fake_->count(Call::Kind::Remove), 1U);
}

TEST(RetryBackend, CancelsTheWaitingWhenItGoes) {
  Log log(Log::Sink::Nothing);
  auto fake = std::make_unique<FakeBackend>();
  std::promise<void> failed_once;
  auto once = std::make_shared<std::atomic<bool>>(true);
  fake->set_hook([&, once](const Call&) {
    if (once->exchange(false)) failed_once.set_value();
    Fault fault;
    fault.fail = Error(Errc::Unavailable, "made to fail");
    return fault;
  });
  std::promise<Errc> end;
  {
    RetryPolicy patient;
    patient.first_wait = patient.longest_wait = 1h;
    patient.total = 100h;
    RetryBackend retry(std::move(fake), patient, make_timer(), log);
    retry.list(FileType::Key,
               [&](const Result<std::vector<FileInfo>>& result) { end.set_value(result.error().code()); });
    failed_once.get_future().wait();
  }
  const Errc code = end.get_future().get();
  EXPECT_TRUE(code == Errc::Cancelled || code == Errc::Unavailable);
}

TEST(RetryBackend, CompletionsMayBeginCallsWhileItGoes) {
  Log log(Log::Sink::Nothing);
  auto fake = std::make_unique<FakeBackend>();
  fake->set_hook([](const Call&) {
    Fault fault;
    fault.hang = true;
    return fault;
  });
  std::vector<Errc> ends;
  {
    RetryBackend retry(std::move(fake), RetryPolicy{}, make_timer(), log);
    retry.load(numbered_file(FileType::Key, 1), 1, Urgency::Demand, [&](const Result<Bytes>& first) {
      ends.push_back(first.error().code());
      retry.list(FileType::Key,
                 [&](const Result<std::vector<FileInfo>>& second) { ends.push_back(second.error().code()); });
    });
  }
  EXPECT_EQ(ends, (std::vector<Errc>{Errc::Cancelled, Errc::Cancelled}));
}

}  // namespace
}  // namespace restic::transport
