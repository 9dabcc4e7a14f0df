// SPDX-License-Identifier: MIT
// Mounts a repository in memory with `new/` for real and works in it with system calls.
#include "fs/staging.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "fs/committer.h"
#include "fs/session.h"
#include "fs/state_files.h"
#include "support/fake_repository.h"
#include "support/fake_snapshot_maker.h"
#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const repo::Id kOurs = repo::Id::of(as_bytes("a repository"));

// One life of a mount with `new/` on given folders.
class Life {
 public:
  Life(const stdfs::path& state, const stdfs::path& mountpoint, test::FakeSnapshotMaker& maker,
       CommitterOptions options = {}, bool allow_other = false)
      : store_(state, kOurs, log_),
        staging_(store_, maker, clock_, log_, 20ms),
        committer_(staging_, store_, maker, std::move(options), clock_, log_, {}) {
    vfs_.load_snapshots();
    SessionOptions session;
    session.source = "test";
    session.mountpoint = mountpoint;
    session.allow_other = allow_other;
    session_.emplace(vfs_, &staging_, session, log_);
    session_->mount();
    committer_.start();
    std::promise<void> ready;
    serving_ = std::thread([this, &ready] { session_->run([&ready] { ready.set_value(); }); });
    ready.get_future().wait();
  }
  ~Life() { unmount(); }
  void unmount() {
    if (!serving_.joinable()) return;
    session_->stop();
    serving_.join();
    session_.reset();
  }
  Committer& committer() { return committer_; }
  Staging& staging() { return staging_; }

 private:
  Log log_{Log::Sink::Nothing};
  SystemClock clock_;
  test::FakeRepository repository_;
  Vfs vfs_{repository_, {}, log_};
  TrayStore store_;
  Staging staging_;
  Committer committer_;
  std::optional<Session> session_;
  std::thread serving_;
};

class StagingTest : public testing::Test {
 protected:
  StagingTest() { stdfs::create_directory(mountpoint_); }

  void mount(CommitterOptions options = {}, bool allow_other = false) {
    life_.emplace(folder_.path() / "state", mountpoint_, maker_, std::move(options), allow_other);
  }
  std::string in_new(const std::string& name) const { return (mountpoint_ / "new" / name).string(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream file(in_new(name), std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    ASSERT_TRUE(file) << name;
  }
  std::string get(const std::string& name) const {
    std::ifstream file(in_new(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> names(const std::string& below = "") const {
    std::vector<std::string> found;
    for (const auto& entry : stdfs::directory_iterator(in_new(below)))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }
  stdfs::path trays() const { return folder_.path() / "state" / kOurs.hex() / "slot-0" / "trays"; }
  // 0 or errno.
  int sync_new() const {
    const UniqueFd fd(::open((mountpoint_ / "new").c_str(), O_RDONLY | O_DIRECTORY));
    return ::fsync(fd.get()) == 0 ? 0 : errno;
  }

  // False: not within a minute.
  template <class Condition>
  static bool soon(const Condition& condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  test::TemporaryFolder folder_;
  stdfs::path mountpoint_ = folder_.path() / "mnt";
  test::FakeSnapshotMaker maker_;
  std::optional<Life> life_;
};

TEST_F(StagingTest, SyncOfNewReturnsWhenTheDropIsASnapshotAndNewIsEmpty) {
  mount();
  put("file", "content");
  stdfs::create_directories(in_new("folder/below"));
  put("folder/below/deep", "down here");
  stdfs::create_symlink("file", in_new("link"));
  ASSERT_EQ(sync_new(), 0);
  ASSERT_EQ(maker_.drops().size(), 1U);
  const std::map<std::string, std::string> expected = {{"file", "content"},
                                                       {"folder", "/"},
                                                       {"folder/below", "/"},
                                                       {"folder/below/deep", "down here"},
                                                       {"link", "-> file"}};
  EXPECT_EQ(maker_.drops()[0].files, expected);
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_FALSE(stdfs::exists(in_new("file")));
}

TEST_F(StagingTest, SyncOfAnEmptyNewMakesNoSnapshot) {
  mount();
  EXPECT_EQ(sync_new(), 0);
  EXPECT_THAT(maker_.drops(), IsEmpty());
}

TEST_F(StagingTest, ASocketAloneMakesNoSnapshotAndHoldsNothingBack) {
  mount();
  ASSERT_EQ(::mknod(in_new("socket").c_str(), S_IFSOCK | 0600, 0), 0);
  EXPECT_EQ(sync_new(), 0);
  const UniqueFd open(::open(in_new("growing").c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_EQ(sync_new(), 0);
  ASSERT_EQ(::unlink(in_new("growing").c_str()), 0);
  life_->unmount();
  EXPECT_TRUE(life_->committer().finish());
  EXPECT_EQ(maker_.tries(), 0U);
}

TEST_F(StagingTest, NewIsEmptyAtOnceWhileTheDropIsStillOnItsWay) {
  mount();
  maker_.hold();
  put("first", "1");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  EXPECT_THAT(names(), IsEmpty());
  put("second", "2");
  put("first", "another first");
  EXPECT_THAT(names(), ElementsAre("first", "second"));
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
  EXPECT_EQ(sync_new(), 0);
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("first"), "1");
  EXPECT_EQ(maker_.drops()[1].files.at("first"), "another first");
}

TEST_F(StagingTest, SyncOfAnEmptyNewWaitsForTheEarlierDropAndShutsNobodyOut) {
  mount();
  maker_.hold();
  put("first", "1");
  auto first = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  life_->staging().wait_until_shown();
  const NodeId held = life_->staging().root().node;
  auto second = std::async(std::launch::async, [this] { return sync_new(); });
  EXPECT_TRUE(soon([&] { return life_->staging().root().node != held; }));
  auto third = std::async(std::launch::async, [this] { put("second", "2"); });
  EXPECT_EQ(third.wait_for(60s), std::future_status::ready);
  EXPECT_EQ(second.wait_for(0s), std::future_status::timeout);
  maker_.let_go();
  EXPECT_EQ(first.get(), 0);
  EXPECT_EQ(second.get(), 0);
  EXPECT_EQ(get("second"), "2");
}

TEST_F(StagingTest, OfManyWhoCommitAtOnceNobodyIsAnsweredBeforeTheDropIsASnapshot) {
  mount();
  constexpr int kCommitters = 4;
  for (std::size_t round = 1; round <= 50; ++round) {
    put("file", std::to_string(round));
    std::vector<std::future<std::size_t>> committers;
    for (int i = 0; i < kCommitters; ++i) {
      committers.push_back(std::async(std::launch::async, [this] {
        const auto durable = std::make_shared<std::promise<std::size_t>>();
        life_->committer().commit([=, this](const Status&) { durable->set_value(maker_.drops().size()); });
        auto answer = durable->get_future();
        return answer.wait_for(60s) == std::future_status::ready ? answer.get() : 0;
      }));
    }
    for (auto& committer : committers) ASSERT_EQ(committer.get(), round);
  }
}

TEST_F(StagingTest, AShellThatStandsInNewGoesOnWorkingThereAfterACommit) {
  mount();
  const UniqueFd standing(::open((mountpoint_ / "new").c_str(), O_RDONLY | O_DIRECTORY));
  put("file", "first");
  ASSERT_EQ(::fsync(standing.get()), 0);
  EXPECT_LT(::openat(standing.get(), "file", O_WRONLY), 0);
  UniqueFd again(::openat(standing.get(), "file", O_WRONLY | O_CREAT, 0644));
  ASSERT_TRUE(again) << errno;
  ASSERT_EQ(::write(again.get(), "second", 6), 6);
  again.reset();
  EXPECT_EQ(get("file"), "second");
  ASSERT_EQ(::fsync(standing.get()), 0);
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[1].files.at("file"), "second");
}

TEST_F(StagingTest, AFileOpenForWritingGoesIntoTheNextDropWithItsFolders) {
  mount();
  stdfs::create_directories(in_new("folder"));
  ASSERT_EQ(::chmod(in_new("folder").c_str(), 0750), 0);
  put("folder/done", "done");
  const UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "one ", 4), 4);
  ASSERT_EQ(::link(in_new("folder/growing").c_str(), in_new("second name").c_str()), 0);
  ASSERT_EQ(sync_new(), 0);
  const std::map<std::string, std::string> first = {{"folder", "/"}, {"folder/done", "done"}};
  EXPECT_EQ(maker_.drops().at(0).files, first);
  EXPECT_THAT(names(), ElementsAre("folder", "second name"));
  struct stat status {};
  ASSERT_EQ(::stat(in_new("folder").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0750U);
  ASSERT_EQ(::write(open.get(), "two", 3), 3);
  EXPECT_EQ(get("folder/growing"), "one two");
  EXPECT_EQ(get("second name"), "one two");
}

TEST_F(StagingTest, ACommitThatFailsLeavesEverythingInNewAndOpenFilesToTheirWriters) {
  mount();
  stdfs::create_directories(in_new("folder"));
  put("folder/done", "done");
  UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "one ", 4), 4);
  const stdfs::path in_the_way = trays() / ("00000001.sealed." + boot_id());
  stdfs::create_directories(in_the_way / "something");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(sync_new(), EIO);
    EXPECT_THAT(names("folder"), ElementsAre("done", "growing"));
  }
  ASSERT_EQ(::write(open.get(), "two ", 4), 4);
  const UniqueFd second(::open(in_new("folder/growing").c_str(), O_WRONLY | O_APPEND));
  ASSERT_EQ(::write(second.get(), "three", 5), 5) << "found by its name";
  open.reset();
  stdfs::remove_all(in_the_way);
  ASSERT_EQ(sync_new(), 0);
  const std::map<std::string, std::string> drop = {{"folder", "/"}, {"folder/done", "done"}};
  EXPECT_EQ(maker_.drops().at(0).files, drop);
  EXPECT_EQ(get("folder/growing"), "one two three");
}

// A file system of 3 MiB at a path.
class SmallDisk {
 public:
  explicit SmallDisk(stdfs::path path) : path_(std::move(path)) {
    stdfs::create_directory(path_);
    EXPECT_EQ(::mount("small", path_.c_str(), "tmpfs", 0, "size=3m"), 0) << "this test needs root";
  }
  ~SmallDisk() { ::umount2(path_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  const stdfs::path path_;
};

TEST_F(StagingTest, WhatFilledTheDiskCanBeCommittedAlsoWithAFileOpenInAFolder) {
  const SmallDisk disk(folder_.path() / "state");
  mount();
  stdfs::create_directories(in_new("folder"));
  const UniqueFd open(::open(in_new("folder/growing").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(open.get(), "open", 4), 4);
  {
    const UniqueFd large(::open(in_new("large").c_str(), O_WRONLY | O_CREAT, 0600));
    const std::string page(4096, 'x');
    while (::write(large.get(), page.data(), page.size()) > 0) {
    }
    ASSERT_EQ(errno, ENOSPC);
  }
  ASSERT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().at(0).files.count("large"), 1U);
  EXPECT_EQ(get("folder/growing"), "open");
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays().parent_path() / "reserve"); })) << "made again";
  life_.reset();
}

TEST_F(StagingTest, AnUnlinkedFileStaysUsableAcrossACommit) {
  mount();
  put("other", "x");
  const UniqueFd open(::open(in_new("gone").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::unlink(in_new("gone").c_str()), 0);
  ASSERT_EQ(sync_new(), 0);
  ASSERT_EQ(::pwrite(open.get(), "alive", 5, 0), 5);
  char text[6] = {};
  ASSERT_EQ(::pread(open.get(), text, 5, 0), 5);
  EXPECT_STREQ(text, "alive");
}

TEST_F(StagingTest, AFailedCommitIsToldToTheSyncerAndTriedAgain) {
  CommitterOptions options;
  options.first_retry = 10ms;
  mount(options);
  maker_.fail_next(Errc::Full);
  put("file", "content");
  EXPECT_EQ(sync_new(), ENOSPC);
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "content");
}

TEST_F(StagingTest, ADropThatIsASnapshotSoonNeverWaitsForTheLocalDisk) {
  CommitterOptions options;
  options.sync_after = 1h;
  mount(options);
  maker_.hold();
  put("file", "content");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  ASSERT_TRUE(maker_.wait_for_tries(1));
  EXPECT_TRUE(stdfs::exists(trays() / ("00000001.sealed." + boot_id())))
      << "it says that it may not be there";
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
}

TEST_F(StagingTest, ADropThatTakesLongGoesToTheLocalDisk) {
  CommitterOptions options;
  options.sync_after = 1ms;
  mount(options);
  maker_.hold();
  put("file", "content");
  auto syncing = std::async(std::launch::async, [this] { return sync_new(); });
  EXPECT_TRUE(soon([&] { return stdfs::exists(trays() / "00000001.sealed"); }));
  maker_.let_go();
  EXPECT_EQ(syncing.get(), 0);
}

TEST_F(StagingTest, WhoIsToldOfAFailureHasTheDropOnTheLocalDisk) {
  CommitterOptions options;
  options.first_retry = options.last_retry = 1h;
  mount(options);
  maker_.fail_next(Errc::Unavailable);
  put("file", "content");
  EXPECT_EQ(sync_new(), EIO);
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.sealed"));
}

TEST_F(StagingTest, WhatIsLeftToTheNextMountIsOnTheLocalDisk) {
  mount();
  maker_.hold();
  put("first", "1");
  life_->committer().commit([](const Status&) {});
  ASSERT_TRUE(maker_.wait_for_tries(1));
  put("second", "2");
  life_->committer().commit([](const Status&) {});
  life_->unmount();
  life_->committer().leave();
  EXPECT_FALSE(life_->committer().finish());
  EXPECT_TRUE(stdfs::exists(trays() / "00000001.sealed"));
  EXPECT_TRUE(stdfs::exists(trays() / "00000002.sealed"));
}

TEST_F(StagingTest, ATryThatIsCutOffBehindTheSnapshotMakesNoSecondOne) {
  CommitterOptions options;
  options.first_retry = 10ms;
  mount(options);
  maker_.fail_after_snapshot(3);
  put("file", "content");
  EXPECT_EQ(sync_new(), EIO);
  ASSERT_TRUE(maker_.wait_for_tries(4));
  EXPECT_EQ(sync_new(), 0);
  EXPECT_EQ(maker_.drops().size(), 1U);
}

TEST_F(StagingTest, WhoIsInterruptedWhileWaitingGetsEintrAndTheDropGoesOn) {
  mount();
  maker_.hold();
  put("file", "content");
  const std::string folder = (mountpoint_ / "new").string();
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
    const int result = ::fsync(fd);
    ::_exit(result == -1 && errno == EINTR ? 0 : 1);
  }
  ASSERT_TRUE(maker_.wait_for_tries(1));
  ASSERT_EQ(::kill(child, SIGUSR1), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  maker_.let_go();
  EXPECT_TRUE(maker_.wait_for_drops(1));
}

TEST_F(StagingTest, QuietCommitsAndAnOpenFileHoldsItBack) {
  CommitterOptions options;
  options.after = 100ms;
  mount(options);
  UniqueFd open(::open(in_new("file").c_str(), O_WRONLY | O_CREAT, 0600));
  put("other", "x");
  ASSERT_FALSE(maker_.tries() > 0);
  std::this_thread::sleep_for(500ms);  // longer than the quiet time: nothing may happen
  EXPECT_EQ(maker_.tries(), 0U);
  ASSERT_EQ(::write(open.get(), "end", 3), 3);
  open.reset();
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "end");
}

TEST_F(StagingTest, WhatIsInNewAtTheEndIsCommittedAndSoIsWhatFailedBefore) {
  mount();
  maker_.fail_next(Errc::Unavailable);
  put("first", "1");
  EXPECT_EQ(sync_new(), EIO);
  put("second", "2");
  life_->unmount();
  EXPECT_TRUE(life_->committer().finish());
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[0].files.at("first"), "1");
  EXPECT_EQ(maker_.drops()[1].files.at("second"), "2");
}

TEST_F(StagingTest, WhatCannotBeCommittedAtTheEndIsResumedByTheNextMount) {
  mount();
  put("file", "content");
  life_->unmount();
  maker_.fail_next(Errc::Unavailable);
  EXPECT_FALSE(life_->committer().finish());
  life_.reset();
  mount();
  ASSERT_TRUE(maker_.wait_for_drops(1));
  EXPECT_EQ(maker_.drops()[0].files.at("file"), "content");
}

TEST_F(StagingTest, AMountThatDiedWhileNewWasFilledShowsItAgain) {
  mount();
  put("file", "content");
  life_.reset();  // without finish()
  mount();
  EXPECT_EQ(get("file"), "content");
}

TEST_F(StagingTest, XattrsOfNewSteerTheSnapshotAndGoWithTheDrop) {
  CommitterOptions options;
  options.snapshot.hostname = "the machine";
  options.snapshot.tags = {"by option"};
  mount(options);
  const std::string top = (mountpoint_ / "new").string();
  ASSERT_EQ(::setxattr(top.c_str(), "user.restic.tags", "photos, summer", 14, 0), 0);
  ASSERT_EQ(::setxattr(top.c_str(), "user.restic.host", "camera", 6, 0), 0);
  put("a", "1");
  ASSERT_EQ(sync_new(), 0);
  put("b", "2");
  ASSERT_EQ(sync_new(), 0);
  ASSERT_EQ(maker_.drops().size(), 2U);
  EXPECT_EQ(maker_.drops()[0].options.hostname, "camera");
  EXPECT_THAT(maker_.drops()[0].options.tags, ElementsAre("photos", "summer"));
  EXPECT_EQ(maker_.drops()[1].options.hostname, "the machine");
  EXPECT_THAT(maker_.drops()[1].options.tags, ElementsAre("by option"));
}

TEST_F(StagingTest, AClosedFileIsStoredAheadWithItsLastContent) {
  mount();
  put("file", "content");
  EXPECT_TRUE(maker_.wait_for_stored("content"));
  put("file", "other content");
  EXPECT_TRUE(maker_.wait_for_stored("other content"));
}

TEST_F(StagingTest, WhatWasReadWhileAWriterHadTheFileOpenCountsNoMoreOnceItIsClosed) {
  mount();
  put("file", "content");
  UniqueFd writer(::open(in_new("file").c_str(), O_WRONLY));
  ASSERT_TRUE(writer);
  const unsigned before = maker_.changes();
  ASSERT_EQ(::write(writer.get(), "CONTENT", 7), 7);
  writer.reset();
  EXPECT_TRUE(maker_.wait_for_changes(before + 1));
}

TEST_F(StagingTest, RenamesLinksAndModesMeanWhatTheyMeanOnAnyDisk) {
  mount();
  put("a", "A");
  put("b", "B");
  const std::string a = in_new("a");
  const std::string b = in_new("b");
  EXPECT_EQ(::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_NOREPLACE), -1);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE), 0);
  EXPECT_EQ(get("a"), "B");
  EXPECT_EQ(get("b"), "A");
  const UniqueFd replaced(::open(b.c_str(), O_RDONLY));
  ASSERT_EQ(::rename(a.c_str(), b.c_str()), 0);
  EXPECT_EQ(get("b"), "B");
  char was = 0;
  ASSERT_EQ(::pread(replaced.get(), &was, 1, 0), 1);
  EXPECT_EQ(was, 'A');
  ASSERT_EQ(::link(b.c_str(), a.c_str()), 0);
  struct stat status {};
  ASSERT_EQ(::stat(b.c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 2U);
  ASSERT_EQ(::chmod(a.c_str(), 04711), 0);
  ASSERT_EQ(::stat(b.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 04711U);
  ASSERT_EQ(::mkdir(in_new("folder").c_str(), 0700), 0);
  put("folder/file", "x");
  EXPECT_EQ(::rmdir(in_new("folder").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  ASSERT_EQ(::rename(in_new("folder").c_str(), in_new("moved").c_str()), 0);
  EXPECT_EQ(get("moved/file"), "x");
  ASSERT_EQ(::mkfifo(in_new("fifo").c_str(), 0600), 0);
  ASSERT_EQ(::setxattr(in_new("b").c_str(), "user.colour", "red", 3, 0), 0);
  char colour[8] = {};
  EXPECT_EQ(::getxattr(in_new("a").c_str(), "user.colour", colour, sizeof colour), 3);
  EXPECT_EQ(::setxattr(in_new("b").c_str(), "user.\xff", "x", 1, 0), -1);
  EXPECT_EQ(errno, EILSEQ);
}

TEST_F(StagingTest, MappedHolesAndPreallocatedContentArrives) {
  mount();
  const UniqueFd fd(::open(in_new("mapped").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(::ftruncate(fd.get(), 1 << 20), 0);
  void* map = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  static_cast<char*>(map)[777777] = 'm';
  ASSERT_EQ(::msync(map, 1 << 20, MS_SYNC), 0);
  ASSERT_EQ(::munmap(map, 1 << 20), 0);
  char byte = 0;
  ASSERT_EQ(::pread(fd.get(), &byte, 1, 777777), 1);
  EXPECT_EQ(byte, 'm');
  const off_t data = ::lseek(fd.get(), 0, SEEK_DATA);
  EXPECT_GT(data, 0);
  EXPECT_LE(data, 777777);
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 524288, 524288), 0);
  ASSERT_EQ(::pread(fd.get(), &byte, 1, 777777), 1);
  EXPECT_EQ(byte, 0);
  ASSERT_EQ(::pwrite(fd.get(), "range", 5, 0), 5);
  const UniqueFd copy(::open(in_new("copy").c_str(), O_RDWR | O_CREAT, 0600));
  off_t from = 0;
  ASSERT_EQ(::copy_file_range(fd.get(), &from, copy.get(), nullptr, 5, 0), 5);
  EXPECT_EQ(get("copy"), "range");
  struct statvfs status {};
  ASSERT_EQ(::statvfs((mountpoint_ / "new").c_str(), &status), 0);
  EXPECT_GT(status.f_blocks, 0U);
}

TEST_F(StagingTest, AppendersThroughSeveralHandlesDoNotOverwriteEachOther) {
  mount();
  const UniqueFd one(::open(in_new("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
  const UniqueFd two(::open(in_new("log").c_str(), O_WRONLY | O_APPEND));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(::write(one.get(), "1", 1), 1);
    ASSERT_EQ(::write(two.get(), "2", 1), 1);
  }
  EXPECT_EQ(get("log").size(), 200U);
}

TEST_F(StagingTest, ManyFilesInOneFolderAreListedOnceEachWhileTheyVanish) {
  mount();
  constexpr int kFiles = 20'000;  // more than there may be descriptors for
  for (int i = 0; i < kFiles; ++i) {
    const UniqueFd fd(::open(in_new("file" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
    ASSERT_TRUE(fd) << errno;
  }
  EXPECT_EQ(names().size(), static_cast<std::size_t>(kFiles));
  std::size_t removed = 0;
  for (const auto& entry : stdfs::directory_iterator(in_new("")))
    removed += stdfs::remove(entry.path()) ? 1 : 0;
  EXPECT_EQ(removed, static_cast<std::size_t>(kFiles));
  EXPECT_THAT(names(), IsEmpty());
}

// What a child process does as another user; its exit status.
template <class Body>
int as_nobody(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

TEST_F(StagingTest, OtherUsersAreHeldToModesAndOwnWhatTheyMake) {
  ASSERT_EQ(::geteuid(), 0U) << "this test needs to be another user";
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  mount({}, true);
  put("private", "secret");
  ASSERT_EQ(::chmod(in_new("private").c_str(), 0600), 0);
  const std::string secret = in_new("private");
  const std::string made = in_new("made");
  EXPECT_EQ(as_nobody([&] { return ::open(secret.c_str(), O_RDONLY) < 0 ? errno : 0; }), EACCES);
  EXPECT_EQ(as_nobody([&] { return ::mkdir(made.c_str(), 0777) != 0 ? errno : 0; }), EACCES);
  ASSERT_EQ(::chmod((mountpoint_ / "new").c_str(), 01777), 0);
  EXPECT_EQ(as_nobody([&] {
              ::umask(027);
              return ::mkdir(made.c_str(), 0777) != 0 ? errno : 0;
            }),
            0);
  struct stat status {};
  ASSERT_EQ(::stat(made.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534U);
  EXPECT_EQ(status.st_gid, 65534U);
  EXPECT_EQ(status.st_mode & 07777U, 0750U);
  EXPECT_EQ(as_nobody([&] { return ::unlink(secret.c_str()) != 0 ? errno : 0; }), EPERM);
  // A write by who does not own it takes setuid away, as on any disk.
  put("tool", "x");
  const std::string tool = in_new("tool");
  ASSERT_EQ(::chmod(tool.c_str(), 04777), 0);
  EXPECT_EQ(as_nobody([&] {
              const int fd = ::open(tool.c_str(), O_WRONLY);
              return ::write(fd, "y", 1) == 1 ? 0 : errno;
            }),
            0);
  ASSERT_EQ(::stat(tool.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0777U);
}

}  // namespace
}  // namespace restic::fs
