// SPDX-License-Identifier: MIT
// Mounts a repository in memory for real and looks at it with system calls.
#include "fs/session.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "fs/vfs.h"
#include "support/fake_repository.h"
#include "support/mount_watchdog.h"

namespace restic::fs {
namespace {

using test::FakeNode;
using test::FakeRepository;

repo::Snapshot snapshot(const repo::Id& id, const repo::Id& tree, std::int64_t time) {
  repo::Snapshot result;
  result.id = id;
  result.tree = tree;
  result.time = {time, 0};
  result.hostname = "host";
  return result;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> names;
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry =
             ::readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): the stream is this thread's
    names.insert(entry->d_name);
  }
  closedir(dir);
  names.erase(".");
  names.erase("..");
  return names;
}

struct stat stat_of(const std::string& path) {
  struct stat result {};
  EXPECT_EQ(lstat(path.c_str(), &result), 0) << path << ": " << errno;
  return result;
}

// One mount on a temporary folder, served by a thread of its own.
class Mounted {
 public:
  Mounted(
      FakeRepository& repository, const std::string& source = "rclone:remote:path", VfsOptions options = {},
      std::function<std::string()> status = [] { return "all is well\n"; })
      : vfs_(repository, std::move(options), repository.log()) {
    char name[] = "/tmp/fs_session_testXXXXXX";
    path_ = mkdtemp(name);
    vfs_.load_snapshots();
    vfs_.add_text_file({".status", std::move(status)});
    SessionOptions session;
    session.source = source;
    session.mountpoint = path_;
    session_ = std::make_unique<Session>(vfs_, nullptr, session, repository.log());
    session_->mount();
    std::promise<void> ready;
    serving_ = std::thread([this, &ready] { session_->run([&ready] { ready.set_value(); }); });
    ready.get_future().wait();
    watchdog_ = test::MountWatchdog(path_);
  }
  ~Mounted() {
    watchdog_ = {};
    session_->stop();
    join();
    session_.reset();
    rmdir(path_.c_str());
  }
  void join() {
    if (serving_.joinable()) serving_.join();
  }
  std::string operator/(const std::string& below) const { return path_ + "/" + below; }
  const std::string& path() const { return path_; }
  Vfs& vfs() { return vfs_; }

 private:
  Vfs vfs_;
  std::string path_;
  std::unique_ptr<Session> session_;
  std::thread serving_;
  test::MountWatchdog watchdog_;
};

class SessionTest : public ::testing::Test {
 protected:
  void add(std::vector<FakeNode> nodes) {
    const auto tree = repository_.add_tree(std::move(nodes));
    repository_.add_snapshot(snapshot(FakeRepository::made_up_id(7000), tree, 1700000000));
  }
  FakeRepository repository_;
  const std::string latest_ = "snapshots/latest/";
};

TEST_F(SessionTest, ShowsFilesAndTheirContent) {
  const std::string large(300'000, 'x');
  add({repository_.file("small", "hello"), repository_.file("large", large), repository_.file("empty", ""),
       repository_.folder("folder", {repository_.file("inside", "deep")})});
  Mounted mounted(repository_);
  EXPECT_THAT(names_in(mounted.path()),
              ::testing::UnorderedElementsAre("ids", "snapshots", "hosts", "tags", ".status"));
  EXPECT_THAT(names_in(mounted / latest_),
              ::testing::UnorderedElementsAre("small", "large", "empty", "folder"));
  EXPECT_EQ(content_of(mounted / latest_ + "small"), "hello");
  EXPECT_EQ(content_of(mounted / latest_ + "large"), large);
  EXPECT_EQ(content_of(mounted / latest_ + "empty"), "");
  EXPECT_EQ(content_of(mounted / latest_ + "folder/inside"), "deep");
  EXPECT_EQ(content_of(mounted / ".status"), "all is well\n");
}

TEST_F(SessionTest, AFolderWithoutAnyPermissionsCanBeEnteredAsRootCould) {
  auto closed = repository_.folder("closed", {repository_.file("inside", "deep")});
  closed.mode = 0;
  auto text = repository_.file("text", "no program");
  text.mode = 0644;
  add({closed, text});
  Mounted mounted(repository_);
  EXPECT_EQ(access((mounted / latest_ + "closed").c_str(), R_OK | X_OK), 0) << errno;
  EXPECT_EQ(access((mounted / latest_ + "text").c_str(), X_OK), -1);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(SessionTest, ShowsAllThatWasRecordedOfEveryType) {
  FakeNode file = repository_.file("file", "content");
  file.mode = 06755;
  file.uid = 1234;
  file.gid = 4'000'000'000U;
  file.mtime = {-1'000'000'000, 123'456'789};
  file.atime = {5'000'000'000, 999'999'999};
  file.ctime = {0, 1};
  file.xattrs = {{"user.colour", std::string("b\0lue", 5)}, {"user.empty", ""}};
  FakeNode link;
  link.name = "link";
  link.type = repo::NodeType::Symlink;
  link.mode = 0777;
  link.link_target = std::string(4095, 't');
  FakeNode device;
  device.name = "device";
  device.type = repo::NodeType::CharDevice;
  device.device = makedev(259, 65537);
  FakeNode fifo;
  fifo.name = "fifo";
  fifo.type = repo::NodeType::Fifo;
  fifo.links = 0;
  FakeNode socket;
  socket.name = "socket";
  socket.type = repo::NodeType::Socket;
  FakeNode sticky =
      repository_.folder("sticky", {repository_.folder("one", {}), repository_.folder("two", {})});
  sticky.mode = 01777;
  add({file, link, device, fifo, socket, sticky});
  Mounted mounted(repository_);

  const auto seen = stat_of(mounted / latest_ + "file");
  EXPECT_EQ(seen.st_mode, S_IFREG | 06755U);
  EXPECT_EQ(seen.st_uid, 1234U);
  EXPECT_EQ(seen.st_gid, 4'000'000'000U);
  EXPECT_EQ(seen.st_mtim.tv_sec, -1'000'000'000);
  EXPECT_EQ(seen.st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(seen.st_atim.tv_sec, 5'000'000'000);
  EXPECT_EQ(seen.st_ctim.tv_nsec, 1);
  EXPECT_EQ(seen.st_size, 7);
  char value[64];
  ASSERT_EQ(getxattr((mounted / latest_ + "file").c_str(), "user.colour", value, sizeof value), 5);
  EXPECT_EQ(std::string(value, 5), std::string("b\0lue", 5));
  EXPECT_EQ(getxattr((mounted / latest_ + "file").c_str(), "user.empty", value, sizeof value), 0);
  EXPECT_EQ(getxattr((mounted / latest_ + "file").c_str(), "user.none", value, sizeof value), -1);
  EXPECT_EQ(errno, ENODATA);
  const auto length = listxattr((mounted / latest_ + "file").c_str(), value, sizeof value);
  EXPECT_EQ(std::string(value, static_cast<std::size_t>(length)),
            std::string("user.colour\0user.empty\0", 23));

  std::string target(5000, '\0');
  const auto target_length = readlink((mounted / latest_ + "link").c_str(), target.data(), target.size());
  ASSERT_EQ(target_length, 4095);
  EXPECT_EQ(target.substr(0, 4095), link.link_target);
  EXPECT_EQ(stat_of(mounted / latest_ + "link").st_size, 4095);

  const auto seen_device = stat_of(mounted / latest_ + "device");
  EXPECT_TRUE(S_ISCHR(seen_device.st_mode));
  EXPECT_EQ(major(seen_device.st_rdev), 259U);
  EXPECT_EQ(minor(seen_device.st_rdev), 65537U);
  EXPECT_TRUE(S_ISFIFO(stat_of(mounted / latest_ + "fifo").st_mode));
  EXPECT_EQ(stat_of(mounted / latest_ + "fifo").st_nlink, 1U);
  EXPECT_TRUE(S_ISSOCK(stat_of(mounted / latest_ + "socket").st_mode));
  names_in(mounted / latest_);
  EXPECT_EQ(stat_of(mounted / latest_ + "sticky").st_mode, S_IFDIR | 01777U);
  EXPECT_EQ(stat_of(mounted / latest_ + "sticky").st_nlink, 4U);
}

TEST_F(SessionTest, MountsUnderTheRepositorysNameAndAsTypeRestic) {
  add({});
  Mounted mounted(repository_, "rclone:a,b\\c:p q");
  std::ifstream table("/proc/self/mountinfo");
  std::string line, found;
  while (std::getline(table, line)) {
    if (line.find(" " + mounted.path() + " ") != std::string::npos) found = line;
  }
  EXPECT_THAT(found, ::testing::HasSubstr(" - fuse.restic rclone:a,b\\134c:p\\040q ro"));
}

TEST_F(SessionTest, RefusesEveryWrite) {
  add({repository_.file("file", "content"), repository_.folder("folder", {})});
  Mounted mounted(repository_);
  const std::string file = mounted / latest_ + "file";
  const std::string folder = mounted / latest_ + "folder";
  const std::string fresh = mounted / latest_ + "fresh";
  const auto refused = [](int result) { return result == -1 && errno == EROFS; };
  EXPECT_TRUE(refused(open(file.c_str(), O_WRONLY)));
  EXPECT_TRUE(refused(open(file.c_str(), O_RDWR)));
  EXPECT_TRUE(refused(open(file.c_str(), O_RDONLY | O_TRUNC)));
  EXPECT_TRUE(refused(open(fresh.c_str(), O_CREAT | O_WRONLY, 0600)));
  EXPECT_TRUE(refused(truncate(file.c_str(), 0)));
  EXPECT_TRUE(refused(mkdir(fresh.c_str(), 0700)));
  EXPECT_TRUE(refused(mknod(fresh.c_str(), S_IFIFO | 0600, 0)));
  EXPECT_TRUE(refused(unlink(file.c_str())));
  EXPECT_TRUE(refused(rmdir(folder.c_str())));
  EXPECT_TRUE(refused(rename(file.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(link(file.c_str(), fresh.c_str())));
  EXPECT_TRUE(refused(symlink("target", fresh.c_str())));
  EXPECT_TRUE(refused(chmod(file.c_str(), 0600)));
  EXPECT_TRUE(refused(chown(file.c_str(), 1, 1)));
  EXPECT_TRUE(refused(utimensat(AT_FDCWD, file.c_str(), nullptr, 0)));
  EXPECT_TRUE(refused(setxattr(file.c_str(), "user.x", "y", 1, 0)));
  EXPECT_TRUE(refused(removexattr(file.c_str(), "user.x")));
  EXPECT_TRUE(refused(mkdir((mounted / "fresh").c_str(), 0700)));
  EXPECT_TRUE(refused(rmdir((mounted / "ids").c_str())));
  EXPECT_EQ(content_of(file), "content");
}

TEST_F(SessionTest, ListsAHundredThousandEntriesOnceEach) {
  std::vector<FakeNode> nodes(100'000);
  for (std::size_t at = 0; at < nodes.size(); ++at) nodes[at].name = "entry-" + std::to_string(at);
  add(std::move(nodes));
  Mounted mounted(repository_);
  std::size_t entries = 0;
  DIR* const dir = opendir((mounted / latest_).c_str());
  ASSERT_NE(dir, nullptr);
  while (::readdir(dir) != nullptr) ++entries;  // NOLINT(concurrency-mt-unsafe): the stream is this thread's
  closedir(dir);
  EXPECT_EQ(entries, 100'002U);
  EXPECT_EQ(names_in(mounted / latest_).size(), 100'000U);
}

TEST_F(SessionTest, ServesManyReadersAtOnce) {
  std::vector<FakeNode> nodes;
  std::vector<std::string> contents;
  for (int at = 0; at < 8; ++at) {
    contents.push_back(std::string(1'000'000, static_cast<char>('a' + at)));
    nodes.push_back(repository_.file(std::to_string(at), contents.back()));
  }
  add(std::move(nodes));
  Mounted mounted(repository_);
  std::atomic<int> right{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 16; ++reader) {
    readers.emplace_back([&, reader] {
      const auto which = static_cast<std::size_t>(reader % 8);
      if (content_of(mounted / latest_ + std::to_string(which)) == contents[which]) ++right;
    });
  }
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(right, 16);
}

TEST_F(SessionTest, AnOutageIsAnErrorAndNeverAnEmptyFolder) {
  add({repository_.folder("folder", {repository_.file("inside", "x")})});
  Mounted mounted(repository_);
  names_in(mounted / latest_);
  repository_.fail_with(Error(Errc::Timeout, "no answer"));
  EXPECT_EQ(opendir((mounted / latest_ + "folder").c_str()), nullptr);
  EXPECT_EQ(errno, ETIMEDOUT);
  struct stat ignored {};
  EXPECT_EQ(stat((mounted / latest_ + "folder/inside").c_str(), &ignored), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  repository_.fail_with(std::nullopt);
  EXPECT_EQ(content_of(mounted / latest_ + "folder/inside"), "x");
}

TEST_F(SessionTest, UnmountingFromOutsideEndsTheServing) {
  add({repository_.file("file", "content")});
  Mounted mounted(repository_);
  EXPECT_EQ(content_of(mounted / latest_ + "file"), "content");
  ASSERT_EQ(umount2(mounted.path().c_str(), 0), 0);
  mounted.join();
}

TEST_F(SessionTest, StopsWhileAReaderWaitsForABlob) {
  add({repository_.file("file", "content")});
  repository_.hold_blobs();
  std::thread reader;
  {
    Mounted mounted(repository_);
    reader = std::thread([path = mounted / latest_ + "file"] {
      char byte = 0;
      const UniqueFd file(open(path.c_str(), O_RDONLY));
      EXPECT_LT(read(file.get(), &byte, 1), 0);
    });
    // One file: a request can only be that of the reader, who waits for it.
    repository_.wait_until([&] { return !repository_.requests().empty(); });
  }
  reader.join();
}

TEST_F(SessionTest, AnInterruptedReaderNeedNotWait) {
  add({repository_.file("file", "content")});
  repository_.hold_blobs();
  Mounted mounted(repository_);
  const pid_t reader = fork();
  if (reader == 0) {
    char byte = 0;
    const int file = open((mounted / latest_ + "file").c_str(), O_RDONLY);
    _exit(read(file, &byte, 1) == 1 ? 0 : 1);
  }
  repository_.wait_until([&] { return !repository_.requests().empty(); });
  kill(reader, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(reader, &status, 0), reader);  // would not return while the read waits
  EXPECT_TRUE(WIFSIGNALED(status));
  repository_.let_go();
  EXPECT_EQ(content_of(mounted / latest_ + "file"), "content");
}

TEST_F(SessionTest, ReadersThatWaitHoldUpNoOther) {
  std::vector<FakeNode> nodes;
  for (int at = 0; at < 12; ++at) nodes.push_back(repository_.file(std::to_string(at), std::to_string(at)));
  add(std::move(nodes));
  repository_.hold_blobs();
  Mounted mounted(repository_);
  std::vector<std::future<std::string>> readers;
  for (int at = 0; at < 12; ++at) {
    readers.push_back(std::async(std::launch::async, content_of, mounted / latest_ + std::to_string(at)));
  }
  // What is read ahead for one counts as there for the next, so how many wait differs.
  repository_.wait_until([&] { return !repository_.requests().empty(); });
  EXPECT_EQ(content_of(mounted / ".status"), "all is well\n");
  repository_.let_go();
  for (int at = 0; at < 12; ++at) EXPECT_EQ(readers[static_cast<std::size_t>(at)].get(), std::to_string(at));
}

// The session is told of what waits for the storage; whatever else takes long must not hold it up either.
TEST_F(SessionTest, AnAnswerThatTakesLongHoldsUpNoOther) {
  add({repository_.file("file", "content")});
  std::promise<void> asked, go_on;
  Mounted mounted(repository_, "source", {}, [&] {
    asked.set_value();
    go_on.get_future().wait();
    return std::string("late");
  });
  const std::string status = mounted / ".status";
  std::future<std::string> late = std::async(std::launch::async, content_of, status);
  asked.get_future().wait();
  for (int round = 0; round < 3; ++round) EXPECT_EQ(content_of(mounted / latest_ + "file"), "content");
  go_on.set_value();
  EXPECT_EQ(late.get(), "late");
}

TEST_F(SessionTest, ShowsTheHolesOfASparseFile) {
  const std::string zeros(512 * 1024, '\0');
  const auto hole = repo::Id::of(as_bytes(zeros));
  repository_.add_blob_as(hole, zeros);
  FakeNode node = repository_.file("sparse", std::string(4096, 'x'));
  node.content.push_back(hole);
  node.content.push_back(hole);
  node.size = 4096 + 2 * zeros.size();
  add({node});
  Mounted mounted(repository_);
  const std::string path = mounted / latest_ + "sparse";
  EXPECT_EQ(stat_of(path).st_blocks, 8);
  const UniqueFd file(open(path.c_str(), O_RDONLY));
  EXPECT_EQ(lseek(file.get(), 0, SEEK_HOLE), 4096);
  EXPECT_EQ(lseek(file.get(), 4096, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
  EXPECT_EQ(content_of(path), std::string(4096, 'x') + zeros + zeros);
}

TEST_F(SessionTest, UnmountsUnderLoadOnceTheLoadIsGone) {
  std::vector<FakeNode> nodes;
  for (int at = 0; at < 200; ++at)
    nodes.push_back(repository_.file(std::to_string(at), std::string(5000, 'x')));
  add(std::move(nodes));
  Mounted mounted(repository_);
  std::atomic<bool> ended{false};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&, path = mounted / latest_] {
      while (!ended) {
        for (const auto& name : names_in(path)) std::ifstream(path + name).get();
      }
    });
  }
  ASSERT_EQ(umount2(mounted.path().c_str(), MNT_DETACH), 0);
  mounted.join();  // readers that are inside end first; new ones find the empty folder below
  ended = true;
  for (auto& reader : readers) reader.join();
}

TEST_F(SessionTest, ANewSnapshotShowsAtOnceWhenTheListIsRead) {
  add({repository_.file("file", "old")});
  Mounted mounted(repository_);
  EXPECT_EQ(content_of(mounted / latest_ + "file"), "old");
  const auto tree = repository_.add_tree({repository_.file("file", "new")});
  repository_.add_snapshot(snapshot(FakeRepository::made_up_id(8000), tree, 1700000100));
  mounted.vfs().load_snapshots();
  EXPECT_EQ(content_of(mounted / latest_ + "file"), "new");
  EXPECT_EQ(names_in(mounted / "ids").size(), 2U);
}

TEST_F(SessionTest, SaysWhyItCannotMount) {
  Vfs vfs(repository_, {}, repository_.log());
  SessionOptions options;
  options.source = "x";
  options.mountpoint = "/tmp/fs_session_test_is_not_there";
  Session session(vfs, nullptr, options, repository_.log());
  try {
    session.mount();
    ADD_FAILURE() << "mounted on nothing";
  } catch (const Error& failure) {
    EXPECT_STREQ(failure.what(),
                 "cannot mount on /tmp/fs_session_test_is_not_there: No such file or directory");
  }
}

}  // namespace
}  // namespace restic::fs
