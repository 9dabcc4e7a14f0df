// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "repo/archiver.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using transport::FileType;

class ArchiverLockTest : public testing::Test {
 protected:
  // One try that loses its lock while its file of that type is on its way.
  Errc archive_and_lose_the_lock_at(FileType type, const std::optional<Error>& save_fails_with,
                                    bool removes_fail = false) {
    made_.backend().set_hook([&, removes_fail](const Call& call) -> Fault {
      Fault fault;
      if (removes_fail && is_removal_of(call, type)) return test::fail_with(Errc::Unavailable);
      if (call.kind != Call::Kind::Save || call.file.type != type) return fault;
      clock_.advance(Lock::kUsableFor + 1s);
      fault.fail_after = save_fails_with;
      return fault;
    });
    try {
      archive();
    } catch (const Error& error) {
      made_.backend().set_hook({});
      return error.code();
    }
    made_.backend().set_hook({});
    throw std::logic_error("it succeeded without a lock");
  }
  static bool is_removal_of(const Call& call, FileType type) {
    return call.kind == Call::Kind::Remove && call.file.type == type;
  }
  void archive() {
    ArchiveOptions options;
    options.earlier_snapshot = kept_;
    options.before_snapshot = [&](const Id&, ByteView stored) { kept_.assign(stored.begin(), stored.end()); };
    ArchiveProgress progress;
    archiver_.archive(folder_.open().get(), options, progress, {});
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  Bytes kept_;
  Archiver archiver_{made_.repository(), {}, clock_};
};

TEST_F(ArchiverLockTest, ASnapshotThatArrivesAfterTheLockWasLostIsTakenBack) {
  folder_.file("file", "content");
  EXPECT_EQ(archive_and_lose_the_lock_at(FileType::Snapshot, {}), Errc::Locked);
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverLockTest, ASnapshotOfWhichOnlyTheAnswerWasLostIsTakenBack) {
  folder_.file("file", "content");
  EXPECT_EQ(archive_and_lose_the_lock_at(FileType::Snapshot, Error(Errc::Timeout, "no answer")),
            Errc::Timeout);
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverLockTest, AnIndexThatArrivesAfterTheLockWasLostIsTakenBack) {
  folder_.file("file", "content");
  EXPECT_EQ(archive_and_lose_the_lock_at(FileType::Index, {}), Errc::Locked);
  EXPECT_TRUE(made_.backend().names(FileType::Index).empty());
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverLockTest, AnIndexThatCouldNotBeTakenBackIsRemovedBeforeAnythingElseIsWritten) {
  folder_.file("file", "content");
  EXPECT_EQ(archive_and_lose_the_lock_at(FileType::Index, {}, true), Errc::Locked);
  ASSERT_EQ(made_.backend().names(FileType::Index).size(), 1U);
  // Meanwhile a prune that did not know of it removes its packs.
  for (const std::string& name : made_.backend().names(FileType::Pack)) {
    made_.backend().drop({FileType::Pack, name});
  }
  made_.backend().set_hook([](const Call& call) -> Fault {
    return is_removal_of(call, FileType::Index) ? test::fail_with(Errc::Unavailable) : Fault{};
  });
  EXPECT_THROW(archive(), Error);
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  EXPECT_TRUE(made_.backend().names(FileType::Lock).empty());
  made_.backend().set_hook({});
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

}  // namespace
}  // namespace restic::repo
