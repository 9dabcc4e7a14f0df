// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "repo/archiver.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

// For the time of a scope this thread may read no more than the modes of files say, even if it is root's.
class NoPrivileges {
 public:
  NoPrivileges() {
    ::syscall(SYS_capget, &header_, before_.data());
    auto fewer = before_;
    fewer[0].effective &= ~((1U << CAP_DAC_OVERRIDE) | (1U << CAP_DAC_READ_SEARCH));
    ::syscall(SYS_capset, &header_, fewer.data());
  }
  ~NoPrivileges() { ::syscall(SYS_capset, &header_, before_.data()); }
  NoPrivileges(const NoPrivileges&) = delete;
  NoPrivileges& operator=(const NoPrivileges&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> before_{};
};

// For the time of a scope so many more files can be open.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    const UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{static_cast<rlim_t>(next.get()) + more, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

class ArchiverUnreadableTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.file("closed/file", "nobody sees it");
    folder_.file("folder/closed file", "nor this");
    folder_.file("folder/open file", "but this");
  }
  void TearDown() override { set_modes(0755, 0644); }
  void set_modes(mode_t folder, mode_t file) {
    ::chmod((folder_.path() / "closed").c_str(), folder);
    ::chmod((folder_.path() / "folder/closed file").c_str(), file);
  }
  Snapshot archive(bool partial) {
    ArchiveOptions options;
    options.partial = partial;
    progress_ = std::make_unique<ArchiveProgress>();
    return archiver_.archive(start_.get(), options, *progress_, {});
  }
  std::vector<std::string> names(const Id& id) {
    made_.repository().refresh_index();
    const TreePtr tree = made_.repository().tree(id);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < tree->size(); ++i) {
      const Node node = tree->node(i);
      all.emplace_back(node.name);
      if (!node.subtree) continue;
      for (const std::string& inner : names(*node.subtree)) {
        all.push_back(std::string(node.name) + "/" + inner);
      }
    }
    return all;
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  UniqueFd start_ = folder_.open();
  std::unique_ptr<ArchiveProgress> progress_;
  Archiver archiver_{made_.repository(), {}, clock_};
};

TEST_F(ArchiverUnreadableTest, APartialSnapshotLeavesOutFoldersAndFilesThatMayNotBeRead) {
  set_modes(0, 0);
  const NoPrivileges no_privileges;
  const Snapshot snapshot = archive(true);
  EXPECT_EQ(progress_->files_unreadable, 2U);
  EXPECT_THAT(names(snapshot.tree), testing::ElementsAre("folder", "folder/open file"));
  EXPECT_EQ(made_.check_consistency(), 1U);
}

TEST_F(ArchiverUnreadableTest, AWholeSnapshotIsNotMadeThen) {
  set_modes(0, 0644);
  const NoPrivileges no_privileges;
  try {
    archive(false);
    FAIL() << "a folder was left out without a word";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Io);
    EXPECT_THAT(error.what(), testing::HasSubstr("closed"));
  }
  EXPECT_EQ(progress_->files_unreadable, 1U);
}

TEST_F(ArchiverUnreadableTest, TooManyOpenFilesFailAPartialTryToo) {
  // A sanitizer opens files, too, when it meets a class for the first time.
  set_modes(0, 0);
  {
    const NoPrivileges no_privileges;
    names(archive(true).tree);
  }
  set_modes(0755, 0644);
  names(archive(true).tree);
  const auto before = made_.backend().names(transport::FileType::Snapshot);
  {
    const FewDescriptors one_more(1);  // enough to open a folder in the first, not to list it
    EXPECT_THROW(archive(true), Error);
  }
  EXPECT_EQ(progress_->files_unreadable, 0U);
  EXPECT_EQ(made_.backend().names(transport::FileType::Snapshot), before);
  EXPECT_THAT(names(archive(true).tree), testing::ElementsAre("closed", "closed/file", "folder",
                                                              "folder/closed file", "folder/open file"));
}

}  // namespace
}  // namespace restic::repo
