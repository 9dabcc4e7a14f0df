// SPDX-License-Identifier: MIT
#include "repo/archiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "repo/timestamp.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using testing::HasSubstr;
using transport::FileType;

Fault failing(Errc code) { return {.fail = Error(code, "made to fail"), .fail_after = {}, .truncate = {}}; }

class ArchiverTest : public testing::Test {
 protected:
  void start(bool changes_are_reported = false, std::chrono::milliseconds idle_release = 2min) {
    ArchiverOptions options;
    options.owner = {"my-host", "me", 0, 0};
    options.changes_are_reported = changes_are_reported;
    options.idle_release = idle_release;
    options.journal = [this](const std::vector<Id>& ids) { journal_ = ids; };
    archiver_.reset();
    archiver_ = std::make_unique<Archiver>(made_.repository(), std::move(options), clock_);
  }
  static ArchiveOptions run_options() {
    ArchiveOptions options;
    options.hostname = "my-host";
    options.username = "me";
    options.program_version = "a test";
    options.tags = {"a tag"};
    return options;
  }
  Snapshot archive(ArchiveOptions options = run_options(), const std::stop_token& stop = {}) {
    if (!archiver_) start();
    progress_ = std::make_unique<ArchiveProgress>();
    return archiver_->archive(folder_.open().get(), options, *progress_, stop);
  }
  TreePtr read_tree(const Snapshot& snapshot, const std::vector<std::string>& path = {}) {
    made_.repository().refresh_index();
    TreePtr tree = made_.repository().tree(snapshot.tree);
    for (const std::string& name : path) {
      tree = made_.repository().tree(tree->node(tree->find(name).value()).subtree.value());
    }
    return tree;
  }
  std::vector<std::string> locks() { return made_.backend().names(FileType::Lock); }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  std::vector<Id> journal_;
  std::unique_ptr<ArchiveProgress> progress_;
  std::unique_ptr<Archiver> archiver_;
};

TEST_F(ArchiverTest, EverythingInTheFolderIsInTheSnapshot) {
  folder_.fill();
  const Snapshot snapshot = archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
  EXPECT_EQ(snapshot.hostname, "my-host");
  EXPECT_EQ(snapshot.program_version, "a test");
  EXPECT_EQ(snapshot.tags, std::vector<std::string>{"a tag"});
  EXPECT_THAT(snapshot.paths,
              testing::ElementsAre("/empty", "/empty folder", "/folder", "/hello", "/link", "/many"));
  ASSERT_TRUE(snapshot.summary);
  EXPECT_EQ(snapshot.summary->files_new, 38U);
  EXPECT_EQ(snapshot.summary->dirs_new, 5U);
  EXPECT_EQ(snapshot.summary->total_files_processed, progress_->files_done);
  EXPECT_EQ(snapshot.summary->total_bytes_processed, progress_->bytes_done);
  EXPECT_EQ(progress_->files_done, progress_->files_total);
  EXPECT_EQ(progress_->bytes_done, progress_->bytes_total);
  EXPECT_GT(progress_->bytes_uploaded, 3U << 20U);

  const TreePtr tree = read_tree(snapshot, {"folder"});
  const Node large = tree->node(tree->find("large").value());
  EXPECT_EQ(large.size, 3U << 20U);
  EXPECT_GE(large.content.size(), 1U);
  const Node hard_link = tree->node(tree->find("hard link").value());
  EXPECT_EQ(hard_link.links, 2U);
  EXPECT_EQ(tree->node(tree->find("fifo").value()).type, NodeType::Fifo);
  EXPECT_TRUE(tree->find("latin1 \xe4"));
}

TEST_F(ArchiverTest, GoesLockPacksIndexSnapshotUnlock) {
  folder_.fill();
  archive();
  std::vector<FileType> saved;
  std::size_t removed = 0;
  for (const Call& call : made_.backend().calls()) {
    if (call.kind == Call::Kind::Remove) {
      ++removed;
      EXPECT_EQ(call.file.type, FileType::Lock);
    } else {
      EXPECT_EQ(removed, 0U) << "something was done after the lock was given back";
    }
    if (call.kind == Call::Kind::Save) saved.push_back(call.file.type);
  }
  EXPECT_EQ(saved, (std::vector<FileType>{FileType::Lock, FileType::Pack, FileType::Pack, FileType::Index,
                                          FileType::Snapshot}));
  EXPECT_EQ(removed, 1U);
  EXPECT_TRUE(journal_.empty());
}

TEST_F(ArchiverTest, TheSameFolderAgainAddsNothingButASnapshot) {
  folder_.fill();
  const Snapshot first = archive();
  made_.backend().forget_calls();
  const Snapshot second = archive();
  EXPECT_EQ(first.tree, second.tree);
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Pack), 0U);
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Index), 0U);
  EXPECT_EQ(made_.check_consistency(), 2U);
}

// Cuts a run off at each of its calls in turn, in three ways, and goes on.
TEST_F(ArchiverTest, AfterAFailureAtAnyCallTheNextTryEndsInOneSnapshot) {
  folder_.file("folder/inner/small", "small");
  folder_.file("folder/text", std::string(5000, 'x'));
  folder_.noise("folder/dense", 5000, 1);
  const std::vector<std::function<Fault()>> kinds = {
      [] { return failing(Errc::Unavailable); },
      [] { return Fault{.fail = {}, .fail_after = Error(Errc::Timeout, "lost"), .truncate = {}}; },
      [] { return failing(Errc::Full); },
  };
  for (const auto& make_fault : kinds) {
    for (std::size_t failing_call = 0;; ++failing_call) {
      test::MadeRepository made;
      std::atomic<std::size_t> count{0};
      std::atomic<bool> hit{false};
      made.backend().set_hook([&](const Call&) -> Fault {
        if (count++ != failing_call) return {};
        hit = true;
        return make_fault();
      });
      ArchiverOptions archiver_options;
      std::vector<Id> left_locks;
      archiver_options.journal = [&](const std::vector<Id>& ids) { left_locks = ids; };
      Archiver archiver(made.repository(), archiver_options, clock_);
      ArchiveOptions options = run_options();
      Bytes kept;
      options.before_snapshot = [&](const Id&, ByteView stored) {
        kept.assign(stored.begin(), stored.end());
      };
      ArchiveProgress progress;
      bool failed = false;
      try {
        archiver.archive(folder_.open().get(), options, progress, {});
      } catch (const Error&) {
        failed = true;
      }
      made.backend().set_hook({});
      SCOPED_TRACE("call " + std::to_string(failing_call));
      made.check_consistency();
      if (failed) {
        options.earlier_snapshot = kept;
        archiver.archive(folder_.open().get(), options, progress, {});
      }
      EXPECT_EQ(made.check_consistency(), 1U);
      // A lock whose removal failed stays known, so that it can be removed later.
      remove_left_over_locks(made.repository(), left_locks);
      EXPECT_TRUE(made.backend().names(FileType::Lock).empty());
      if (!hit) break;
    }
  }
}

TEST_F(ArchiverTest, WhatWasUploadedBeforeAFailureIsNotUploadedAgain) {
  for (std::uint64_t i = 0; i < 3; ++i) folder_.noise("file " + std::to_string(i), 17U << 20U, i);
  made_.backend().set_hook([this](const Call& call) -> Fault {
    const bool third = call.kind == Call::Kind::Save && call.file.type == FileType::Pack &&
                       made_.backend().count(Call::Kind::Save, FileType::Pack) >= 3;
    return third ? failing(Errc::Full) : Fault{};
  });
  EXPECT_THROW(archive(), Error);
  const std::size_t before = made_.backend().names(FileType::Pack).size();
  ASSERT_GE(before, 2U);
  EXPECT_TRUE(locks().empty());
  made_.backend().set_hook({});
  made_.backend().forget_calls();
  archive();
  std::uint64_t uploaded = 0;
  for (const Call& call : made_.backend().calls()) {
    if (call.kind == Call::Kind::Save && call.file.type == FileType::Pack) uploaded += call.range.length;
  }
  EXPECT_LE(uploaded, 51ULL << 20U >> 1U);
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverTest, AnEarlierSnapshotThatArrivedIsReturnedAndNothingIsWritten) {
  folder_.fill();
  ArchiveOptions options = run_options();
  Bytes kept;
  options.before_snapshot = [&](const Id&, ByteView stored) { kept.assign(stored.begin(), stored.end()); };
  const Snapshot first = archive(options);
  options.earlier_snapshot = kept;
  made_.backend().forget_calls();
  EXPECT_EQ(archive(options).id, first.id);
  EXPECT_EQ(made_.backend().count(Call::Kind::Save), 0U);
}

TEST_F(ArchiverTest, TellsOfEachSnapshotOnceWhenItIsDurable) {
  folder_.fill();
  ArchiveOptions options = run_options();
  Bytes kept;
  options.before_snapshot = [&](const Id&, ByteView stored) { kept.assign(stored.begin(), stored.end()); };
  std::vector<Id> told;
  options.when_durable = [&](const Snapshot& snapshot) {
    EXPECT_TRUE(made_.backend().get({FileType::Snapshot, snapshot.id.hex()}));
    told.push_back(snapshot.id);
  };
  const Snapshot first = archive(options);
  EXPECT_THAT(told, testing::ElementsAre(first.id));
  EXPECT_TRUE(locks().empty());
  options.earlier_snapshot = kept;
  archive(options);
  EXPECT_THAT(told, testing::ElementsAre(first.id, first.id)) << "one of an earlier try, too";
}

TEST_F(ArchiverTest, TheLockIsGivenBackWhateverTheListenerThrows) {
  folder_.fill();
  ArchiveOptions options = run_options();
  options.when_durable = [](const Snapshot&) { throw Error(Errc::Full, "no room for a note of it"); };
  EXPECT_THROW(archive(options), Error);
  EXPECT_TRUE(locks().empty());
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverTest, AnEarlierSnapshotOfAnotherTreeIsNotWritten) {
  folder_.fill();
  ArchiveOptions options = run_options();
  Bytes kept;
  options.before_snapshot = [&](const Id&, ByteView stored) { kept.assign(stored.begin(), stored.end()); };
  const Snapshot first = archive(options);
  for (const FileType type : {FileType::Snapshot, FileType::Index, FileType::Pack}) {
    for (const std::string& name : made_.backend().names(type)) made_.backend().drop({type, name});
  }
  folder_.file("new", "more");
  options.earlier_snapshot = kept;
  const Snapshot second = archive(options);
  EXPECT_NE(second.id, first.id);
  EXPECT_NE(second.tree, first.tree);
  EXPECT_EQ(second.id, Id::of(kept));
}

TEST_F(ArchiverTest, ASnapshotThatReadsBackDifferentlyIsNoSuccess) {
  folder_.fill();
  made_.backend().set_hook([](const Call& call) -> Fault {
    Fault fault;
    fault.corrupt = call.kind == Call::Kind::Load && call.file.type == FileType::Snapshot;
    return fault;
  });
  EXPECT_THROW(archive(), Error);
}

TEST_F(ArchiverTest, AFileStoredAheadIsNotReadAgainAndTheLockIsGivenBackMeanwhile) {
  folder_.file("file", "first");
  start(true, 0ms);
  std::promise<void> unlocked;
  made_.backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Remove) unlocked.set_value();
    return {};
  });
  archiver_->store_ahead(folder_.open("file"));
  unlocked.get_future().wait();
  made_.backend().set_hook({});
  EXPECT_EQ(made_.backend().names(FileType::Pack).size(), 1U);
  EXPECT_EQ(made_.backend().names(FileType::Index).size(), 1U);

  folder_.file("file", "other");  // unreported, which shows that the content is not looked at
  const Snapshot snapshot = archive();
  EXPECT_EQ(read_tree(snapshot)->node(0).content[0], Id::of(as_bytes("first")));
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverTest, WhatAPruneRemovedAfterStoringAheadIsStoredAgain) {
  folder_.file("file", "first");
  start(true, 0ms);
  std::promise<void> unlocked;
  made_.backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Remove) unlocked.set_value();
    return {};
  });
  archiver_->store_ahead(folder_.open("file"));
  unlocked.get_future().wait();
  made_.backend().set_hook({});
  for (const FileType type : {FileType::Index, FileType::Pack}) {
    for (const std::string& name : made_.backend().names(type)) made_.backend().drop({type, name});
  }
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverTest, AChangeAfterStoringAheadIsInTheSnapshot) {
  start(true);
  folder_.file("file", "first");
  archiver_->store_ahead(folder_.open("file"));
  folder_.file("file", "other");
  struct stat facts {};
  ASSERT_EQ(::stat((folder_.path() / "file").c_str(), &facts), 0);
  archiver_->content_changed(facts.st_dev, facts.st_ino);
  const Snapshot snapshot = archive();
  const TreePtr tree = read_tree(snapshot);
  EXPECT_EQ(tree->node(0).content[0], Id::of(as_bytes("other")));
}

TEST_F(ArchiverTest, AForeignExclusiveLockIsNamedAndNothingIsWritten) {
  folder_.fill();
  made_.backend().put(test::numbered_file(FileType::Lock, 1), Bytes(100));
  try {
    archive();
    FAIL() << "it wrote beside a lock that it could not read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Locked);
  }
  EXPECT_EQ(made_.backend().count(Call::Kind::Save), 0U);
}

TEST_F(ArchiverTest, AnAppendOnlyRepositoryJustWorks) {
  folder_.fill();
  made_.backend().set_hook([](const Call& call) -> Fault {
    return call.kind == Call::Kind::Remove ? failing(Errc::Denied) : Fault{};
  });
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
  EXPECT_EQ(journal_.size(), 1U);
}

TEST_F(ArchiverTest, AnEmptyFolderIsNoSnapshot) {
  try {
    archive();
    FAIL() << "a snapshot of nothing";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Usage);
  }
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  EXPECT_TRUE(locks().empty());
}

TEST_F(ArchiverTest, StopsWhenAskedTo) {
  folder_.fill();
  std::stop_source stop;
  made_.backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Save && call.file.type == FileType::Lock) stop.request_stop();
    return {};
  });
  try {
    archive(run_options(), stop.get_token());
    FAIL() << "it did not stop";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Cancelled);
  }
  EXPECT_TRUE(made_.backend().names(FileType::Snapshot).empty());
  EXPECT_TRUE(locks().empty());
  made_.backend().set_hook({});
  archive();
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverTest, ATopWithManyNamesIsRecordedAsTheRoot) {
  for (int i = 0; i < 1001; ++i) folder_.file(std::to_string(i), "");
  EXPECT_EQ(archive().paths, std::vector<std::string>{"/"});
}

TEST_F(ArchiverTest, SeveralFoldersAtOnceShareOneLock) {
  start();
  std::vector<test::SampleFolder> folders(4);
  std::vector<std::future<Snapshot>> runs;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    folders[i].fill();
    folders[i].noise("own", 2U << 20U, 100 + i);
    runs.push_back(std::async(std::launch::async, [&, i] {
      ArchiveProgress progress;
      return archiver_->archive(folders[i].open().get(), run_options(), progress, {});
    }));
  }
  for (auto& run : runs) run.get();
  EXPECT_EQ(made_.check_consistency(), 4U);
  EXPECT_TRUE(locks().empty());
}

}  // namespace
}  // namespace restic::repo
