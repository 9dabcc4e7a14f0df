// SPDX-License-Identifier: MIT
// What programs do in `new/`, by system calls.
#include "fs/staging.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include "support/staged_mount.h"

namespace restic::fs {
namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class StagingTest : public test::StagedMount {};

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

TEST_F(StagingTest, ProgramsAreToldToWriteFilesInLargePieces) {
  mount();
  const UniqueFd made(::open(in_new("file").c_str(), O_WRONLY | O_CREAT, 0644));
  struct stat file {};
  ASSERT_EQ(::fstat(made.get(), &file), 0);
  EXPECT_EQ(file.st_blksize, 1 << 20);
  ASSERT_EQ(::fchmod(made.get(), 0600), 0);
  ASSERT_EQ(::fstat(made.get(), &file), 0);
  EXPECT_EQ(file.st_blksize, 1 << 20);
  ASSERT_EQ(::mkdir(in_new("folder").c_str(), 0755), 0);
  struct stat folder {};
  ASSERT_EQ(::stat(in_new("folder").c_str(), &folder), 0);
  EXPECT_LT(folder.st_blksize, 1 << 20);  // opendir makes its buffer as large
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

TEST_F(StagingTest, WhoReadsSeesWhatIsWrittenHoweverTheyCameToOpenTheFile) {
  mount();
  put("file", "old");
  const std::string path = in_new("file");
  const auto seen_by = [](const UniqueFd& reader) {
    std::string content(64, '\0');
    const ssize_t size = ::pread(reader.get(), content.data(), content.size(), 0);
    content.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return content;
  };
  {  // the reader first: its page is in the kernel's cache
    const UniqueFd reader(::open(path.c_str(), O_RDONLY));
    ASSERT_EQ(seen_by(reader), "old");
    const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_APPEND));
    ASSERT_EQ(::write(writer.get(), "+1", 2), 2);
    EXPECT_EQ(seen_by(reader), "old+1");
  }
  {  // the writer first, and what was cached before is old
    const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_APPEND));
    ASSERT_EQ(::write(writer.get(), "+2", 2), 2);
    const UniqueFd reader(::open(path.c_str(), O_RDONLY));
    EXPECT_EQ(seen_by(reader), "old+1+2");
    ASSERT_EQ(::write(writer.get(), "+3", 2), 2);
    EXPECT_EQ(seen_by(reader), "old+1+2+3");
    const UniqueFd both(::open(path.c_str(), O_RDWR));
    ASSERT_EQ(::pwrite(both.get(), "OLD", 3, 0), 3);
    EXPECT_EQ(seen_by(reader), "OLD+1+2+3");
    ASSERT_EQ(::pwrite(writer.get(), "+4", 2, 9), 2);
    EXPECT_EQ(seen_by(both), "OLD+1+2+3+4");
  }
  for (char round = 'a'; round <= 'z'; ++round) {  // one after the other, and mapped
    {
      const UniqueFd writer(::open(path.c_str(), O_WRONLY));
      ASSERT_EQ(::pwrite(writer.get(), &round, 1, 0), 1);
    }
    void* map = MAP_FAILED;
    for (int tries = 0; tries < 20 && map == MAP_FAILED;
         ++tries) {  // the kernel may be late to tell of a close
      const UniqueFd reader(::open(path.c_str(), O_RDONLY));
      map = ::mmap(nullptr, 11, PROT_READ, MAP_SHARED, reader.get(), 0);
    }
    ASSERT_NE(map, MAP_FAILED) << errno;
    EXPECT_EQ(*static_cast<const char*>(map), round);
    ASSERT_EQ(::munmap(map, 11), 0);
  }
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
  // Also while its owner writes, and through the owner's descriptor.
  const UniqueFd owner(::open(tool.c_str(), O_WRONLY));
  const auto y_by_nobody = [&](int flags) {
    return as_nobody([&] {
      const int fd = flags < 0 ? owner.get() : ::open(tool.c_str(), flags);
      return ::pwrite(fd, "y", 1, 0) == 1 ? 0 : errno;
    });
  };
  for (const int flags : {O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, -1}) {
    ASSERT_EQ(::fchmod(owner.get(), 04777), 0);
    ASSERT_EQ(::pwrite(owner.get(), "ztail", 5, 0), 5);
    ASSERT_EQ(::stat(tool.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 04777U);
    EXPECT_EQ(y_by_nobody(flags), 0);
    struct statx seen {
    };  // by who asks for nothing but the mode, as the kernel does before it runs a program
    ASSERT_EQ(::statx(AT_FDCWD, tool.c_str(), 0, STATX_MODE, &seen), 0);
    EXPECT_EQ(seen.stx_mode & 07777U, 0777U) << flags;
    ASSERT_EQ(::stat(tool.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0777U) << flags;
    EXPECT_EQ(get("tool"), flags == (O_RDWR | O_TRUNC) ? "y" : "ytail");
  }
}

}  // namespace
}  // namespace restic::fs
