// SPDX-License-Identifier: MIT
#include "repo/lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using testing::HasSubstr;
using transport::FileName;
using transport::FileType;

Timestamp at(std::int64_t seconds) { return {seconds, 0}; }

class LockTest : public testing::Test {
 protected:
  FileName put_lock(const LockInfo& lock) {
    Bytes stored = seal_file(made_.repository().crypto(), 2, FileType::Lock, encode_lock(lock));
    const FileName file{FileType::Lock, Id::of(stored).hex()};
    made_.backend().put(file, std::move(stored));
    return file;
  }
  std::vector<std::string> locks() { return made_.backend().names(FileType::Lock); }
  LockInfo read(const std::string& name) {
    const FileName file{FileType::Lock, name};
    const Bytes json =
        open_sealed_file(made_.repository().crypto(), 2, file, made_.backend().get(file).value());
    return decode_lock(json, name);
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  std::vector<std::vector<Id>> journal_;
  const LockJournal note_ = [this](const std::vector<Id>& ids) { journal_.push_back(ids); };
  Lock lock_{made_.repository(), {"my-host", "me", 0, 7}, note_, clock_};
};

TEST_F(LockTest, WritesWhoHoldsItAndLeavesNothingWhenReleased) {
  lock_.acquire();
  ASSERT_EQ(locks().size(), 1U);
  const LockInfo info = read(locks().front());
  EXPECT_FALSE(info.exclusive);
  EXPECT_EQ(info.pid, static_cast<std::uint64_t>(::getpid()));
  EXPECT_EQ(info.owner.hostname, "my-host");
  EXPECT_EQ(info.owner.username, "me");
  EXPECT_EQ(info.owner.gid, 7U);
  lock_.release();
  EXPECT_TRUE(locks().empty());
  EXPECT_FALSE(lock_.usable());
}

TEST_F(LockTest, EncodesAsResticDoes) {
  const LockInfo lock{{{1700000000, 500000000}, 3600}, true, {"h", "u", 0, 5}, 12};
  EXPECT_EQ(
      encode_lock(lock),
      R"({"time":"2023-11-14T23:13:20.5+01:00","exclusive":true,"hostname":"h","username":"u","pid":12,"gid":5})");
}

TEST_F(LockTest, ChecksWritesWaitsAndChecksAgain) {
  lock_.acquire();
  EXPECT_EQ(made_.backend().count(Call::Kind::List, FileType::Lock), 2U);
  EXPECT_THAT(clock_.sleeps(), testing::ElementsAre(200ms));
  EXPECT_EQ(made_.backend().count(Call::Kind::Load, FileType::Lock), 0U) << "what its own says is known";
}

TEST_F(LockTest, SharesTheRepositoryWithOtherSharedLocks) {
  put_lock({{at(1), 0}, false, {"other", "she", 1, 1}, 99});
  lock_.acquire();
  EXPECT_EQ(locks().size(), 2U);
}

TEST_F(LockTest, NamesTheHolderOfAnExclusiveLockAndLeavesItAlone) {
  const FileName foreign = put_lock({{at(1700000000), 0}, true, {"other", "she", 1, 1}, 99});
  try {
    lock_.acquire();
    FAIL() << "the exclusive lock was overlooked";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Locked);
    EXPECT_THAT(error.what(), HasSubstr("process 99 on other by she since 2023-11-14T22:13:20Z"));
  }
  EXPECT_THAT(locks(), testing::ElementsAre(foreign.name));
  EXPECT_FALSE(lock_.usable());
}

TEST_F(LockTest, GivesWayToAnExclusiveLockThatCameAtTheSameTime) {
  made_.backend().set_hook([this](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Save) put_lock({{at(1), 0}, true, {"other", "she", 1, 1}, 99});
    return {};
  });
  EXPECT_THROW(lock_.acquire(), Error);
  ASSERT_EQ(locks().size(), 1U);
  EXPECT_TRUE(read(locks().front()).exclusive);
}

TEST_F(LockTest, WaitsForALockThatCannotBeReadThenGivesUp) {
  Bytes junk(100);
  const FileName file{FileType::Lock, Id::of(junk).hex()};
  made_.backend().put(file, junk);
  try {
    lock_.acquire();
    FAIL() << "a lock that may be exclusive was passed over";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Locked);
    EXPECT_THAT(error.what(), HasSubstr(file.name));
  }
  EXPECT_THAT(clock_.sleeps(), testing::ElementsAre(5s, 10s, 20s));
}

TEST_F(LockTest, PassesOverEmptyLocksAndThoseThatVanish) {
  made_.backend().put(test::numbered_file(FileType::Lock, 1), {});
  const FileName vanishing = put_lock({{at(1), 0}, true, {"other", "she", 1, 1}, 99});
  made_.backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Load && call.file.name == vanishing.name) made_.backend().drop(vanishing);
    return {};
  });
  lock_.acquire();
  EXPECT_TRUE(lock_.usable());
}

TEST_F(LockTest, RefreshReplacesTheFileAndProlongsUse) {
  lock_.acquire();
  const std::string first = locks().front();
  clock_.advance(20min);
  lock_.refresh();
  ASSERT_EQ(locks().size(), 1U);
  EXPECT_NE(locks().front(), first);
  clock_.advance(20min);
  EXPECT_TRUE(lock_.usable());
  clock_.advance(150s);
  EXPECT_FALSE(lock_.usable());
}

TEST_F(LockTest, AFailedRefreshKeepsTheOldLock) {
  lock_.acquire();
  made_.backend().set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Save) return {};
    return {.fail = Error(Errc::Unavailable, "down"), .fail_after = {}, .truncate = {}};
  });
  clock_.advance(5min);
  EXPECT_THROW(lock_.refresh(), Error);
  EXPECT_EQ(locks().size(), 1U);
  EXPECT_TRUE(lock_.usable());
  clock_.advance(17min + 30s);
  EXPECT_FALSE(lock_.usable());
}

TEST_F(LockTest, ARefreshThatOutlastsTheOldLockDoesNotReviveIt) {
  lock_.acquire();
  clock_.advance(22min);
  made_.backend().set_hook([this](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Save) clock_.advance(10min);
    return {};
  });
  lock_.refresh();
  EXPECT_FALSE(lock_.usable());
  lock_.release();
  made_.backend().set_hook({});
  lock_.acquire();
  EXPECT_TRUE(lock_.usable());
}

TEST_F(LockTest, JournalKnowsEveryFileBeforeItExists) {
  made_.backend().set_hook([this](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Save) {
      EXPECT_FALSE(journal_.empty());
      EXPECT_EQ(journal_.back().back().hex(), call.file.name);
    }
    return {};
  });
  lock_.acquire();
  lock_.refresh();
  lock_.release();
  EXPECT_EQ(made_.backend().count(Call::Kind::Save), 2U);
  EXPECT_TRUE(journal_.back().empty());
}

TEST_F(LockTest, AFileWhoseWriteHadALostAnswerIsRemoved) {
  made_.backend().set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Save) return {};
    return {.fail = {}, .fail_after = Error(Errc::Timeout, "no answer"), .truncate = {}};
  });
  EXPECT_THROW(lock_.acquire(), Error);
  EXPECT_TRUE(locks().empty());
  EXPECT_TRUE(journal_.back().empty());
}

TEST_F(LockTest, WhatCouldNotBeRemovedStaysInTheJournalAndIsTriedAgain) {
  lock_.acquire();
  made_.backend().set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Remove) return {};
    return {.fail = Error(Errc::Denied, "append-only"), .fail_after = {}, .truncate = {}};
  });
  lock_.release();
  ASSERT_EQ(locks().size(), 1U);
  EXPECT_EQ(journal_.back().size(), 1U);
  made_.backend().set_hook({});
  lock_.acquire();
  EXPECT_EQ(locks().size(), 1U);
  EXPECT_EQ(journal_.back().size(), 1U);
}

TEST_F(LockTest, LeftOverLocksAreRemovedByNameOnly) {
  lock_.acquire();
  const std::vector<Id> ours = journal_.back();
  put_lock({{at(1), 0}, false, {"other", "she", 1, 1}, 99});
  std::vector<Id> names = ours;
  names.push_back(Id{});  // gone already
  EXPECT_TRUE(remove_left_over_locks(made_.repository(), names).empty());
  ASSERT_EQ(locks().size(), 1U);
  EXPECT_EQ(read(locks().front()).owner.hostname, "other");
}

}  // namespace
}  // namespace restic::repo
