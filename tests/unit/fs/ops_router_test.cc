// SPDX-License-Identifier: MIT
// Mounts a repository with a branch of its own beside it and sees who gets which request.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <thread>

#include "fs/ops.h"
#include "fs/session.h"
#include "support/fake_repository.h"
#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

// One folder, `new`, in which folders can be made and vanish at once.
class CountingBranch final : public Branch {
 public:
  CountingBranch() {
    operations_.getattr = [](fuse_req_t req, fuse_ino_t, fuse_file_info*) {
      const Entry entry = self(req).root();
      fuse_reply_attr(req, &entry.attributes, 0);
    };
    operations_.lookup = [](fuse_req_t req, fuse_ino_t, const char*) { fuse_reply_err(req, ENOENT); };
    operations_.mkdir = [](fuse_req_t req, fuse_ino_t, const char*, mode_t) {
      ++self(req).folders_made;
      fuse_reply_err(req, ENOSPC);
    };
    operations_.statfs = [](fuse_req_t req, fuse_ino_t) {
      struct statvfs statistics {};
      statistics.f_bsize = statistics.f_frsize = 512;
      statistics.f_bavail = statistics.f_bfree = 77;
      fuse_reply_statfs(req, &statistics);
    };
  }
  std::string name() const override { return "new"; }
  Entry root() override {
    Entry entry;
    entry.node = kBranchBit;
    entry.attributes.st_ino = 12345;
    entry.attributes.st_mode = S_IFDIR | 0755;
    entry.attributes.st_nlink = 2;
    entry.name_timeout = entry.attribute_timeout = 0;
    return entry;
  }
  const fuse_lowlevel_ops& operations() const override { return operations_; }
  void start(Invalidate) override {}
  void settle() override {}
  void stop() override {}

  std::atomic<int> folders_made{0};

 private:
  static CountingBranch& self(fuse_req_t req) {
    return static_cast<CountingBranch&>(*context_of(req).branch);
  }
  fuse_lowlevel_ops operations_{};
};

class OpsRouterTest : public ::testing::Test {
 protected:
  OpsRouterTest() {
    repo::Snapshot snapshot;
    snapshot.id = test::FakeRepository::made_up_id(1);
    snapshot.tree = repository_.add_tree({repository_.file("file", "content")});
    repository_.add_snapshot(snapshot);
    vfs_.load_snapshots();
    SessionOptions options;
    options.source = "repository";
    options.mountpoint = folder_.path().string();
    session_ = std::make_unique<Session>(vfs_, &branch_, options, repository_.log());
    session_->mount();
    std::promise<void> ready;
    serving_ = std::thread([this, &ready] { session_->run([&ready] { ready.set_value(); }); });
    ready.get_future().wait();
  }
  ~OpsRouterTest() override {
    session_->stop();
    serving_.join();
  }

  test::TemporaryFolder folder_;
  test::FakeRepository repository_;
  Vfs vfs_{repository_, {}, repository_.log()};
  CountingBranch branch_;
  const std::string file_ = folder_.file("snapshots/latest/file");
  std::unique_ptr<Session> session_;
  std::thread serving_;
};

TEST_F(OpsRouterTest, SendsWhatIsBelowTheBranchToTheBranch) {
  struct stat found {};
  ASSERT_EQ(stat(folder_.file("new").c_str(), &found), 0);
  EXPECT_EQ(found.st_ino, 12345U);
  EXPECT_EQ(mkdir(folder_.file("new/x").c_str(), 0700), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(branch_.folders_made, 1);
  EXPECT_EQ(mkdir(folder_.file("x").c_str(), 0700), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(branch_.folders_made, 1);
}

TEST_F(OpsRouterTest, AnswersStatfsFromWhereItIsAsked) {
  struct statvfs found {};
  ASSERT_EQ(statvfs(folder_.file("new").c_str(), &found), 0);
  EXPECT_EQ(found.f_bavail, 77U);
  ASSERT_EQ(statvfs(folder_.path().c_str(), &found), 0);
  EXPECT_EQ(found.f_bavail, 0U);
}

TEST_F(OpsRouterTest, MovesAndLinksNothingIntoTheBranchOrOutOfIt) {
  EXPECT_EQ(rename(file_.c_str(), folder_.file("new/file").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(link(file_.c_str(), folder_.file("new/file").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(rename(file_.c_str(), folder_.file("snapshots/other").c_str()), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(OpsRouterTest, SaysThatTheBranchCannotDoWhatItsTableLacks) {
  EXPECT_EQ(mknod(folder_.file("new/x").c_str(), S_IFIFO | 0600, 0), -1);
  EXPECT_EQ(errno, ENOSYS);
}

TEST_F(OpsRouterTest, RefusesWritesToSnapshotsAlsoWhenTheMountIsWritable) {
  const auto refused = [](int result) { return result == -1 && errno == EROFS; };
  EXPECT_TRUE(refused(open(file_.c_str(), O_WRONLY)));
  EXPECT_TRUE(refused(open(file_.c_str(), O_RDWR)));
  EXPECT_TRUE(refused(open(file_.c_str(), O_RDONLY | O_TRUNC)));
  EXPECT_TRUE(refused(open((file_ + "2").c_str(), O_CREAT | O_WRONLY, 0600)));
  EXPECT_TRUE(refused(truncate(file_.c_str(), 0)));
  EXPECT_TRUE(refused(mknod((file_ + "2").c_str(), S_IFIFO | 0600, 0)));
  EXPECT_TRUE(refused(unlink(file_.c_str())));
  EXPECT_TRUE(refused(rmdir(folder_.file("ids").c_str())));
  EXPECT_TRUE(refused(link(file_.c_str(), (file_ + "2").c_str())));
  EXPECT_TRUE(refused(symlink("target", (file_ + "2").c_str())));
  EXPECT_TRUE(refused(chmod(file_.c_str(), 0600)));
  EXPECT_TRUE(refused(chown(file_.c_str(), 1, 1)));
  EXPECT_TRUE(refused(utimensat(AT_FDCWD, file_.c_str(), nullptr, 0)));
  EXPECT_TRUE(refused(setxattr(file_.c_str(), "user.x", "y", 1, 0)));
  EXPECT_TRUE(refused(removexattr(file_.c_str(), "user.x")));
  EXPECT_TRUE(refused(access(file_.c_str(), W_OK)));
}

}  // namespace
}  // namespace restic::fs
