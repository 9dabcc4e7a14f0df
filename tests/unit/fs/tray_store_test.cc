// SPDX-License-Identifier: MIT
#include "fs/tray_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "fs/state_files.h"
#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;

const repo::Id kRepository = repo::Id::of(as_bytes("a repository"));
const repo::Id kOther = repo::Id::of(as_bytes("another repository"));

class TrayStoreTest : public testing::Test {
 protected:
  TrayStore store(const repo::Id& repository = kRepository) {
    return TrayStore(folder_.path(), repository, log_);
  }
  static void put(const Tray& tray, const std::string& name, const std::string& text = "content") {
    const UniqueFd fd(::openat(tray.files(), name.c_str(), O_WRONLY | O_CREAT, 0644));
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static bool has(const Tray& tray, const std::string& name) {
    return ::faccessat(tray.files(), name.c_str(), F_OK, 0) == 0;
  }
  stdfs::path trays(const char* slot = "slot-0") const {
    return folder_.path() / kRepository.hex() / slot / "trays";
  }

  test::TemporaryFolder folder_;
  Log log_{Log::Sink::Nothing};
};

TEST_F(TrayStoreTest, StartsWithAnEmptyOpenTrayThatNobodyElseCanEnter) {
  TrayStore first = store();
  const auto tray = first.take_open();
  EXPECT_EQ(tray->state(), Tray::State::Open);
  EXPECT_TRUE(tray->empty());
  EXPECT_TRUE(first.take_sealed().empty());
  struct stat status {};
  ASSERT_EQ(::stat((folder_.path() / kRepository.hex()).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(TrayStoreTest, AnOpenTrayOfADeadMountIsShownAgain) {
  {
    TrayStore first = store();
    put(*first.take_open(), "half done");
  }
  TrayStore second = store();
  EXPECT_TRUE(has(*second.take_open(), "half done"));
  EXPECT_TRUE(second.take_sealed().empty());
}

TEST_F(TrayStoreTest, ASealedTrayOfADeadMountIsFoundWithItsSnapshot) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
    tray->keep_snapshot(as_bytes("an older try"));
    tray->keep_snapshot(as_bytes("sealed bytes"));
  }
  TrayStore second = store();
  const auto sealed = second.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(has(*sealed[0], "file"));
  const auto kept = sealed[0]->kept_snapshot();
  ASSERT_TRUE(kept);
  EXPECT_EQ(as_text(*kept), "sealed bytes");
  EXPECT_TRUE(second.take_open()->empty());
}

TEST_F(TrayStoreTest, ASealingThatWasCutOffIsCarriedOut) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
  }
  TrayStore second = store();
  const auto sealed = second.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(has(*sealed[0], "file"));
  EXPECT_TRUE(second.take_open()->empty());
}

TEST_F(TrayStoreTest, ASlotThatIsHeldForTheMomentOfALookIsTakenAllTheSame) {
  { put(*store().take_open(), "file"); }
  const stdfs::path lock = folder_.path() / kRepository.hex() / "slot-0/lock";
  std::optional<UniqueFd> held(std::in_place, ::open(lock.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(held->get(), LOCK_EX | LOCK_NB), 0);
  std::thread looker([&held] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    held.reset();
  });
  EXPECT_TRUE(has(*store().take_open(), "file"));
  looker.join();
  const UniqueFd living(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(living.get(), LOCK_EX | LOCK_NB), 0);
  TrayStore beside = store();
  EXPECT_TRUE(beside.take_open()->empty());
  EXPECT_NE(beside.path().find("slot-1"), std::string::npos);
}

TEST_F(TrayStoreTest, AnOrderlyEndIsNoPowerCut) {
  {
    TrayStore first = store();
    put(*first.take_open(), "file");
    first.sync_at_the_end();
  }
  EXPECT_FALSE(stdfs::exists(folder_.path() / kRepository.hex() / "slot-0/boot"));
  TrayStore second = store();
  EXPECT_FALSE(second.take_open()->may_be_incomplete());
  EXPECT_TRUE(stdfs::exists(folder_.path() / kRepository.hex() / "slot-0/boot"));
}

TEST_F(TrayStoreTest, WhatASnapshotLacksIsLeftAloneAndNamed) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
    tray->expect_whole(true);
    tray->expect_whole(false);
    tray->finish();
    EXPECT_EQ(tray->state(), Tray::State::Partial);
    next->seal();
    next->expect_whole(false);
    next->expect_whole(true);
    next->finish();
    EXPECT_EQ(next->state(), Tray::State::Done);
  }
  TrayStore second = store();
  EXPECT_TRUE(second.take_sealed().empty());
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.partial/files/file"));
  ASSERT_EQ(second.problems().size(), 1U);
  EXPECT_NE(second.problems()[0].find("00000001.partial"), std::string::npos);
}

TEST_F(TrayStoreTest, AnOpenTrayThatThePowerCutCaughtMayBeIncomplete) {
  { put(*store().take_open(), "file"); }
  const stdfs::path boot = folder_.path() / kRepository.hex() / "slot-0" / "boot";
  EXPECT_TRUE(store().problems().empty()) << "the same run of the machine";
  std::ofstream(boot) << "another run";
  for (int mounts = 0; mounts < 2; ++mounts) {  // however often it is mounted before it is a snapshot
    TrayStore after = store();
    EXPECT_TRUE(after.take_open()->may_be_incomplete());
    ASSERT_EQ(after.problems().size(), 1U);
    EXPECT_NE(after.problems()[0].find("may be incomplete"), std::string::npos);
  }
  {
    TrayStore sealing = store();
    const auto tray = sealing.take_open();
    const auto next = sealing.make_next(*tray);
    tray->seal();
    EXPECT_FALSE(tray->on_disk()) << "what came since is to be synced";
    tray->sync_files();
  }
  TrayStore last = store();
  const auto sealed = last.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(sealed[0]->may_be_incomplete());
  EXPECT_TRUE(sealed[0]->on_disk());
}

TEST_F(TrayStoreTest, WhatIsDoneIsRemovedAndNotFoundAgain) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
    tray->finish();
    const auto later = first.make_next(*next);
    next->seal();
    next->finish();
    next->remove();
  }
  stdfs::create_directories(trays() / "00000099.fresh" / "files");
  TrayStore second = store();
  EXPECT_TRUE(second.take_sealed().empty());
  EXPECT_FALSE(stdfs::exists(trays() / "00000001.done"));
  EXPECT_FALSE(stdfs::exists(trays() / "00000002.done"));
  EXPECT_FALSE(stdfs::exists(trays() / "00000099.fresh"));
}

TEST_F(TrayStoreTest, WhatIsDoneAndCannotBeRemovedIsNamedAndFailsNothing) {
  store();
  for (const char* name : {"00000007.done", "00000008.fresh"}) std::ofstream(trays() / name) << "no folder";
  TrayStore second = store();
  EXPECT_EQ(second.take_open()->number(), 9U);
  ASSERT_EQ(second.problems().size(), 2U);
  EXPECT_THAT(second.problems()[0], testing::HasSubstr("00000007.done"));
  EXPECT_THAT(second.problems()[1], testing::HasSubstr("00000008.fresh"));
}

TEST_F(TrayStoreTest, ATrayWithNothingButSocketsCountsAsEmpty) {
  TrayStore first = store();
  const auto tray = first.take_open();
  ASSERT_EQ(::mknodat(tray->files(), "socket", S_IFSOCK | 0600, 0), 0);
  EXPECT_TRUE(tray->empty());
  make_folder(tray->files(), "folder", 0700);
  EXPECT_FALSE(tray->empty());
}

TEST_F(TrayStoreTest, ASealedTrayTellsWhetherItsFilesAreOnTheDisk) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
    EXPECT_FALSE(tray->on_disk());
  }
  TrayStore second = store();
  const auto sealed = second.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_FALSE(sealed[0]->on_disk());
  EXPECT_FALSE(sealed[0]->may_be_incomplete()) << "the machine has not been down";
  EXPECT_TRUE(second.problems().empty());
  sealed[0]->sync_files();
  EXPECT_TRUE(sealed[0]->on_disk());
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.sealed"));
}

TEST_F(TrayStoreTest, ATrayWhoseFilesOnceFailedToReachTheDiskNeverSaysThatTheyDid) {
  TrayStore first = store();
  const auto tray = first.take_open();
  const auto next = first.make_next(*tray);
  tray->seal();
  const UniqueFd files(::dup(tray->files()));
  const UniqueFd not_to_be_synced(::open(folder_.path().c_str(), O_PATH));
  ASSERT_GE(::dup2(not_to_be_synced.get(), tray->files()), 0);
  EXPECT_THROW(tray->sync_files(), Error);
  ASSERT_GE(::dup2(files.get(), tray->files()), 0);
  EXPECT_THROW(tray->sync_files(), Error);
  EXPECT_FALSE(tray->on_disk());
}

TEST_F(TrayStoreTest, ThatFilesFailedToReachTheDiskIsKnownToTheNextMountToo) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
    const UniqueFd files(::dup(tray->files()));
    const UniqueFd not_to_be_synced(::open(folder_.path().c_str(), O_PATH));
    ASSERT_GE(::dup2(not_to_be_synced.get(), tray->files()), 0);
    EXPECT_THROW(tray->sync_files(), Error);
    ASSERT_GE(::dup2(files.get(), tray->files()), 0);
  }
  TrayStore second = store();
  ASSERT_EQ(second.problems().size(), 1U);
  EXPECT_THAT(second.problems()[0], testing::HasSubstr("may be incomplete"));
  const auto sealed = second.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(sealed[0]->may_be_incomplete());
  EXPECT_TRUE(has(*sealed[0], "file"));
}

TEST_F(TrayStoreTest, ADropThatWasNotOnTheDiskWhenTheMachineWentDownIsNamedAndKept) {
  {
    TrayStore first = store();
    const auto tray = first.take_open();
    put(*tray, "file");
    const auto next = first.make_next(*tray);
    tray->seal();
  }
  stdfs::rename(trays() / ("00000001.sealed." + boot_id()), trays() / "00000001.sealed.another");
  TrayStore second = store();
  ASSERT_EQ(second.problems().size(), 1U);
  EXPECT_THAT(second.problems()[0], testing::HasSubstr("may be incomplete"));
  const auto sealed = second.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(sealed[0]->may_be_incomplete());
  EXPECT_TRUE(has(*sealed[0], "file"));
  sealed[0]->finish();
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.done"));
}

TEST_F(TrayStoreTest, TwoMountsNeverShareASlot) {
  TrayStore first = store();
  TrayStore second = store();
  EXPECT_NE(first.path(), second.path());
  put(*first.take_open(), "mine");
  EXPECT_TRUE(second.take_open()->empty());
}

TEST_F(TrayStoreTest, DropsOfADeadMountInAnotherSlotAreAdopted) {
  auto first = std::make_unique<TrayStore>(folder_.path(), kRepository, log_);
  {
    TrayStore second = store();
    put(*second.take_open(), "of the dead");
    second.note_locks({kOther});
  }
  first.reset();
  TrayStore third = store();
  EXPECT_TRUE(third.take_open()->empty());
  const auto sealed = third.take_sealed();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_TRUE(has(*sealed[0], "of the dead"));
  EXPECT_EQ(third.left_over_locks(), std::vector<repo::Id>{kOther});
  TrayStore fourth = store();
  EXPECT_TRUE(fourth.take_sealed().empty()) << "the adopted slot is held as long as its adopter lives";
}

TEST_F(TrayStoreTest, LockNamesAreKeptUntilTheirFilesAreGone) {
  {
    TrayStore first = store();
    first.note_locks({kOther, kRepository});
    first.note_locks({kOther});
  }
  {
    TrayStore second = store();
    EXPECT_EQ(second.left_over_locks(), std::vector<repo::Id>{kOther});
    second.note_locks({kRepository});
  }
  {
    TrayStore third = store();
    EXPECT_EQ(third.left_over_locks().size(), 2U);
    third.keep_left_over_locks({});
  }
  EXPECT_TRUE(store().left_over_locks().empty());
}

TEST_F(TrayStoreTest, ForeignAndDamagedTraysAreLeftAloneAndNamed) {
  {
    TrayStore first = store();
    put(*first.take_open(), "precious");
  }
  const stdfs::path tray = trays() / "00000001.open";
  std::ofstream(tray / "tray") << "mount.restic tray 1\nrepository " << kOther.hex() << "\n";
  stdfs::create_directories(trays() / "00000000.sealed");
  TrayStore second = store();
  EXPECT_TRUE(second.take_open()->empty());
  EXPECT_TRUE(second.take_sealed().empty());
  ASSERT_EQ(second.problems().size(), 2U);
  EXPECT_THAT(second.problems()[0], testing::HasSubstr("00000000.sealed"));
  EXPECT_THAT(second.problems()[1], testing::HasSubstr("another repository"));
  EXPECT_TRUE(stdfs::exists(tray / "files" / "precious"));
}

TEST_F(TrayStoreTest, ADropForAnotherRepositoryIsNamed) {
  {
    TrayStore first = store(kOther);
    put(*first.take_open(), "file");
  }
  const TrayStore second = store();
  ASSERT_EQ(second.problems().size(), 1U);
  EXPECT_THAT(second.problems()[0], testing::HasSubstr(kOther.hex()));
}

TEST_F(TrayStoreTest, TheNextTrayHasTheModeOfTheOneBefore) {
  TrayStore first = store();
  const auto tray = first.take_open();
  ASSERT_EQ(::fchmod(tray->files(), 01777), 0);
  const auto next = first.make_next(*tray);
  struct stat status {};
  ASSERT_EQ(::fstat(next->files(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 01777U);
}

TEST_F(TrayStoreTest, ATrayDeeperThanAnyPathIsRemoved) {
  TrayStore first = store();
  const auto tray = first.take_open();
  UniqueFd level(::dup(tray->files()));
  for (int depth = 0; depth < 1500; ++depth) {
    make_folder(level.get(), "a folder with a name", 0500);
    level = open_folder(level.get(), "a folder with a name");
  }
  level.reset();
  const auto next = first.make_next(*tray);
  tray->seal();
  tray->finish();
  tray->remove();
  EXPECT_FALSE(stdfs::exists(trays() / "00000001.done"));
}

TEST_F(TrayStoreTest, AFolderThatCannotBeMadeIsAnError) {
  EXPECT_THROW(TrayStore("/proc/self/nowhere", kRepository, log_), Error);
}

}  // namespace
}  // namespace restic::fs
