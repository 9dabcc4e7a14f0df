// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "repo/archiver.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using transport::FileType;

// A try that kept its snapshot's bytes and was cut off before the file was written.
class ArchiverResumeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.fill();
    made_.backend().set_hook([](const Call& call) -> Fault {
      const bool is_snapshot = call.kind == Call::Kind::Save && call.file.type == FileType::Snapshot;
      return is_snapshot ? test::fail_with(Errc::Unavailable) : Fault{};
    });
    EXPECT_THROW(archive(), Error);
    made_.backend().set_hook({});
    ASSERT_FALSE(kept_.empty());
    first_try_ = kept_;
    made_.backend().forget_calls();
  }
  Snapshot archive() {
    ArchiveOptions options;
    options.earlier_snapshot = kept_;
    options.before_snapshot = [&](const Id&, ByteView stored) { kept_.assign(stored.begin(), stored.end()); };
    progress_ = std::make_unique<ArchiveProgress>();
    // Each try as after a crash: nothing is remembered.
    Archiver archiver(made_.repository(), {}, clock_);
    return archiver.archive(folder_.open().get(), options, *progress_, {});
  }
  void drop_all(FileType type) {
    for (const std::string& name : made_.backend().names(type)) made_.backend().drop({type, name});
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  std::unique_ptr<ArchiveProgress> progress_;
  Bytes kept_, first_try_;
};

TEST_F(ArchiverResumeTest, WhatIsStoredIsTakenEvenIfTheFilesWereDamagedMeanwhile) {
  folder_.file("hello", "damaged");
  EXPECT_EQ(archive().id, Id::of(first_try_));
  EXPECT_EQ(made_.check_consistency(), 1U);
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Pack), 0U);
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Index), 0U);
  EXPECT_EQ(progress_->files_done, progress_->files_total);
  EXPECT_EQ(progress_->bytes_done, progress_->bytes_total);
  EXPECT_TRUE(made_.backend().names(FileType::Lock).empty());
}

TEST_F(ArchiverResumeTest, WhatAPruneRemovedIsStoredAgainUnderTheSameSnapshot) {
  drop_all(FileType::Index);
  drop_all(FileType::Pack);
  EXPECT_EQ(archive().id, Id::of(first_try_));
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverResumeTest, NoSnapshotIsWrittenWhileTheIndexNamesPacksThatAreGone) {
  drop_all(FileType::Pack);
  try {
    archive();
    FAIL() << "it made a snapshot that cannot be read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged) << error.what();
  }
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  EXPECT_TRUE(made_.backend().names(FileType::Lock).empty());
  drop_all(FileType::Index);  // as `restic repair index` does
  EXPECT_EQ(archive().id, Id::of(first_try_));
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverResumeTest, GoesOnWhenReadersAreToldToStop) {
  made_.repository().stop_reading();
  EXPECT_EQ(archive().id, Id::of(first_try_));
  EXPECT_EQ(archive().id, Id::of(first_try_));  // now the file is there
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverResumeTest, AnOutageWhileLookingFailsTheTryAndChangesNothing) {
  made_.backend().set_hook([](const Call& call) -> Fault {
    return call.kind == Call::Kind::LoadRange ? test::fail_with(Errc::Unavailable) : Fault{};
  });
  EXPECT_THROW(archive(), Error);
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  made_.backend().set_hook({});
  EXPECT_EQ(archive().id, Id::of(first_try_));
}

TEST_F(ArchiverResumeTest, ASnapshotThatArrivedWithoutItsBlobsIsCompleted) {
  archive();
  drop_all(FileType::Index);
  drop_all(FileType::Pack);
  EXPECT_EQ(archive().id, Id::of(first_try_));
  EXPECT_EQ(made_.check_consistency(), 1U);
}

}  // namespace
}  // namespace restic::repo
