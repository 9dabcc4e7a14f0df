// SPDX-License-Identifier: MIT
// The write path against the real restic, on local repositories.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>

#include "repo/archiver.h"
#include "repo/init_repository.h"
#include "support/made_repository.h"
#include "support/restic_tool.h"
#include "support/sample_folder.h"
#include "transport/open_backend.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using test::ResticTool;
using testing::HasSubstr;

constexpr const char* kPassword = "a password";
constexpr const char* kHost = "sample-host";

// A repository on disk, of either version, made by restic or by us.
class ArchiverRestic : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    if (GetParam() == 1) {
      const auto made = restic_.run({"init", "--repository-version", "1"});
      ASSERT_EQ(made.code, 0) << made.output;
      backend_ = open_backend();
    } else {
      backend_ = open_backend();
      init_repository(*backend_, kPassword, {"h", "u"}, {1024, 8, 1});
    }
    const auto password = [](int) { return std::optional<std::string>(kPassword); };
    repository_ = Repository::open(*backend_, password, {}, pool_, log_);
    sample_.fill();
    set_odd_metadata();
  }

  std::unique_ptr<transport::Backend> open_backend() {
    return transport::open_backend(transport::parse_location(repository_folder_.path().string()), {}, log_);
  }

  // What a copy may lose easily.
  void set_odd_metadata() {
    const std::string hello = (sample_.path() / "hello").string();
    ASSERT_EQ(::setxattr(hello.c_str(), "user.comment", "\0value\xff", 7, 0), 0);
    ASSERT_EQ(::chmod(hello.c_str(), 04755), 0);
    const timespec odd_times[2] = {{1, 2}, {-12345, 678900000}};
    ASSERT_EQ(::utimensat(AT_FDCWD, hello.c_str(), odd_times, 0), 0);
    ASSERT_EQ(::utimensat(AT_FDCWD, (sample_.path() / "link").c_str(), odd_times, AT_SYMLINK_NOFOLLOW), 0);
    ASSERT_EQ(::chmod((sample_.path() / "many").c_str(), 01777), 0);
  }

  Snapshot archive() {
    ArchiverOptions archiver_options;
    archiver_options.owner = {kHost, "me", 0, 0};
    Archiver archiver(*repository_, std::move(archiver_options), clock_);
    ArchiveOptions options;
    options.hostname = kHost;
    options.program_version = "mount.restic";
    ArchiveProgress progress;
    return archiver.archive(sample_.open().get(), options, progress, {});
  }

  // The sample's top-level names, as relative arguments.
  std::vector<std::string> targets() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(sample_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  test::TemporaryFolder repository_folder_;
  test::SampleFolder sample_;
  const ResticTool restic_{repository_folder_.path(), kPassword};
  Log log_{Log::Sink::Nothing};
  CpuPool pool_{2};
  SystemClock clock_;
  std::unique_ptr<transport::Backend> backend_;
  std::unique_ptr<Repository> repository_;
};

TEST_P(ArchiverRestic, ChecksCleanAndShowsEverything) {
  const Snapshot snapshot = archive();
  const auto check = restic_.run({"check", "--read-data"});
  EXPECT_EQ(check.code, 0) << check.output;
  EXPECT_THAT(check.output, HasSubstr("no errors were found"));
  const auto list = restic_.run({"ls", "latest"});
  EXPECT_EQ(list.code, 0) << list.output;
  EXPECT_THAT(list.output, HasSubstr("/folder/inner/one chunk\n"));
  EXPECT_THAT(list.output, HasSubstr("/empty folder/in it\n"));
  const auto cat = restic_.run({"cat", "snapshot", snapshot.id.hex()});
  EXPECT_EQ(cat.code, 0) << cat.output;
  EXPECT_THAT(cat.output, HasSubstr(snapshot.tree.hex()));
}

TEST_P(ArchiverRestic, ABackupOfTheSameFilesAddsNoBlobAndHasTheSameTree) {
  const Snapshot snapshot = archive();
  std::vector<std::string> command{"backup", "--host", kHost, "--json"};
  for (const std::string& name : targets()) command.push_back(name);
  const auto backup = restic_.run(command, sample_.path());
  ASSERT_EQ(backup.code, 0) << backup.output;
  EXPECT_THAT(backup.output, HasSubstr("\"data_blobs\":0,\"tree_blobs\":0,"));
  const SnapshotList list = repository_->snapshots();
  ASSERT_EQ(list.snapshots.size(), 2U);
  for (const Snapshot& one : list.snapshots) EXPECT_EQ(one.tree, snapshot.tree);
}

TEST_P(ArchiverRestic, RestoreGivesTheFolderBack) {
  archive();
  test::TemporaryFolder target;
  const auto restore = restic_.run({"restore", "latest", "--target", target.path().string()});
  EXPECT_EQ(restore.code, 0) << restore.output;
  // Names only where something differs; the top folder itself is not part of the snapshot.
  const auto difference =
      test::run_program({"rsync", "-aHAXn", "--checksum", "--delete", "--omit-dir-times", "-i",
                         sample_.path().string() + "/", target.path().string() + "/"});
  EXPECT_EQ(difference.code, 0);
  EXPECT_THAT(difference.output,
              testing::AnyOf("", ".d..t...... ./\n", ".d...p..... ./\n", ".d..tp..... ./\n"));
}

INSTANTIATE_TEST_SUITE_P(Versions, ArchiverRestic, testing::Values(1U, 2U),
                         [](const auto& version) { return "V" + std::to_string(version.param); });

// What the backend holds at each call is what a kill at that moment leaves behind.
TEST(ArchiverResticCrash, CheckAcceptsWhatIsThereAtAnyMoment) {
  test::MadeRepository made;
  test::SampleFolder sample;
  sample.file("folder/small", "small");
  sample.noise("folder/dense", 5000, 1);
  test::TemporaryFolder states;
  std::size_t count = 0;
  made.backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Save || call.kind == Call::Kind::Remove) {
      made.write_to(states.path() / std::to_string(count++));
    }
    return {};
  });
  SystemClock clock;
  {
    Archiver archiver(made.repository(), {}, clock);
    ArchiveProgress progress;
    archiver.archive(sample.open().get(), {}, progress, {});
  }
  made.write_to(states.path() / std::to_string(count++));
  ASSERT_GE(count, 6U);
  for (std::size_t state = 0; state < count; ++state) {
    SCOPED_TRACE("state " + std::to_string(state));
    const ResticTool restic(states.path() / std::to_string(state), test::MadeRepository::kPassword);
    const auto unlock = restic.run({"unlock", "--remove-all"});
    EXPECT_EQ(unlock.code, 0) << unlock.output;
    const auto check = restic.run({"check", "--read-data"});
    EXPECT_EQ(check.code, 0) << check.output;
  }
}

}  // namespace
}  // namespace restic::repo
