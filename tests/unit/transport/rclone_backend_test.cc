// SPDX-License-Identifier: MIT
#include "transport/rclone_backend.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>

#include "support/failing_content.h"
#include "support/fake_backend.h"
#include "support/processes.h"
#include "support/script.h"
#include "support/temporary_folder.h"
#include "transport/blocking.h"
#include "transport/open_backend.h"
#include "transport/retry_backend.h"

namespace restic::transport {
namespace {

using test::eventually;
using test::numbered_file;
using test::running;
using test::TemporaryFolder;
using test::write_script;
using namespace std::chrono_literals;

const std::vector<std::string> kArguments{"serve", "restic", "--stdio", "--b2-hard-delete"};

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(parent) + "/task")) {
    std::ifstream list(task.path() / "children");
    for (pid_t child = 0; list >> child;) children.push_back(child);
  }
  return children;
}

class RcloneBackendTest : public testing::Test {
 protected:
  std::unique_ptr<RcloneBackend> open(const std::string& program = "rclone", unsigned uploads = 8) {
    RcloneLimits limits;
    limits.connection.uploads = uploads;
    limits.first_restart = 10ms;
    limits.longest_restart = 200ms;
    limits.patience = 500ms;
    return std::make_unique<RcloneBackend>(RcloneCommand{program, kArguments},
                                           ":local:" + folder_.path().string(), limits, RestLimits{}, log_);
  }
  Error failure(const std::string& program) {
    try {
      open(program);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "it opened";
    return {Errc::Io, ""};
  }

  TemporaryFolder folder_;
  TemporaryFolder programs_;
  Log log_{Log::Sink::Nothing};
};

TEST_F(RcloneBackendTest, NamesTheProgramThatIsMissing) {
  const Error error = failure("no-such-rclone");
  EXPECT_EQ(error.code(), Errc::Usage);
  EXPECT_NE(std::string(error.what()).find("no-such-rclone"), std::string::npos);
  EXPECT_NE(std::string(error.what()).find("install"), std::string::npos);
}

TEST_F(RcloneBackendTest, ShowsRclonesOwnWordsForAnUnknownRemote) {
  try {
    RcloneBackend backend({"rclone", kArguments}, "no-such-remote:path", {}, {}, log_);
    FAIL() << "it opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Unavailable);
    EXPECT_NE(std::string(error.what()).find("no-such-remote"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("didn't find section in config file"), std::string::npos)
        << error.what();
  }
}

TEST_F(RcloneBackendTest, AProgramThatDiesAtOnceIsStartedOnce) {
  const std::string count = programs_.file("count");
  const std::string program =
      write_script(programs_.file("fake"), "echo x >> " + count + "; echo 'out of luck' >&2; exit 7");
  const Error error = failure(program);
  EXPECT_EQ(error.code(), Errc::Unavailable);
  EXPECT_NE(std::string(error.what()).find("out of luck"), std::string::npos) << error.what();
  EXPECT_EQ(std::filesystem::file_size(count), 2U);
}

TEST_F(RcloneBackendTest, AProgramThatSpeaksNoHttpIsEnded) {
  const std::string program = write_script(
      programs_.file("fake"),
      "trap '' TERM; echo $$ > " + programs_.file("pid") +
          "; echo 'Usage: this is not the program you want, and it goes on and on'; exec sleep 1000");
  EXPECT_EQ(failure(program).code(), Errc::Unavailable);
  pid_t pid = 0;
  std::ifstream(programs_.file("pid")) >> pid;
  ASSERT_GT(pid, 0);
  EXPECT_FALSE(running(pid));
}

TEST_F(RcloneBackendTest, HasOneChildAndNoListeningSocket) {
  const auto backend = open();
  EXPECT_EQ(children_of(::getpid()), std::vector<pid_t>{backend->rclone_pid()});
  const std::filesystem::path fds = "/proc/" + std::to_string(backend->rclone_pid()) + "/fd";
  for (const auto& fd : std::filesystem::directory_iterator(fds)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd.path(), gone).string();
    EXPECT_EQ(target.find("socket:"), std::string::npos) << target;
  }
  EXPECT_NE(backend->describe().find("pid " + std::to_string(backend->rclone_pid())), std::string::npos);
}

TEST_F(RcloneBackendTest, EndsItsRcloneWhenItGoes) {
  auto backend = open();
  const pid_t pid = backend->rclone_pid();
  backend.reset();
  EXPECT_FALSE(running(pid));
}

TEST_F(RcloneBackendTest, FailsWhatIsUnderWayAndServesAgainAfterRcloneDied) {
  const auto backend = open();
  const FileName file = numbered_file(FileType::Pack, 1);
  save(*backend, file, std::make_shared<const Bytes>(Bytes(1000)));
  const pid_t first = backend->rclone_pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return backend->rclone_pid() != 0 && backend->rclone_pid() != first; }));
  EXPECT_EQ(load(*backend, file, 1000).size(), 1000U);
  EXPECT_NE(backend->describe().find("1 restarts"), std::string::npos) << backend->describe();
}

TEST_F(RcloneBackendTest, MissesWhatRcloneRemembersAndSomebodyElseRemoved) {
  RetryBackend backend(open(), RetryPolicy{}, make_timer(), log_);
  const auto content = std::make_shared<const Bytes>(Bytes(100'000));
  save(backend, {FileType::Config, ""}, content);
  for (const FileType type : {FileType::Index, FileType::Pack}) {
    const FileName file = numbered_file(type, 1);
    save(backend, file, content);
    ASSERT_EQ(load(backend, file, 100'000).size(), 100'000U);
    const std::string folder = type == FileType::Pack ? "data/" + file.name.substr(0, 2) : "index";
    ASSERT_TRUE(std::filesystem::remove(folder_.path() / folder / file.name));
    try {
      load_range(backend, file, {0, 1000});
      ADD_FAILURE() << file.path() << " is there";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::NotFound) << error.what();
    }
  }
  EXPECT_NE(backend.describe().find(", 0 restarts"), std::string::npos) << backend.describe();
  const FileName lock = numbered_file(FileType::Lock, 1);
  save(backend, lock, content);
  ASSERT_TRUE(std::filesystem::remove(folder_.path() / "locks" / lock.name));
  try {
    remove(backend, lock);
    ADD_FAILURE() << "it was there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::NotFound) << error.what();
  }
}

// An rclone whose upload was broken off removes what it has of the file when it comes to it.
TEST_F(RcloneBackendTest, TriesAnUploadThatWasBrokenOffAgainWithAnotherRclone) {
  const auto backend = open();
  const FileName file = numbered_file(FileType::Pack, 1);
  for (int attempt = 0; attempt < 5; ++attempt) {
    const pid_t before = backend->rclone_pid();
    const auto bad = std::make_shared<test::FailingContent>(300'000, 250'000);
    EXPECT_THROW(await<Unit>([&](StatusDone done) { backend->save(file, bad, std::move(done)); }), Error);
    save(*backend, file, std::make_shared<const Bytes>(Bytes(1000)));
    EXPECT_NE(backend->rclone_pid(), before);
    EXPECT_EQ(load(*backend, file, 1000).size(), 1000U);
  }
  EXPECT_NE(backend->describe().find("5 restarts"), std::string::npos) << backend->describe();
}

TEST_F(RcloneBackendTest, WhatWasNotBegunWhenAnUploadBrokeOffGoesToTheNextRclone) {
  const auto backend = open("rclone", 1);
  const auto bad = std::make_shared<test::FailingContent>(300'000, 250'000);
  std::promise<Status> broken;
  std::promise<Status> next;
  backend->save(numbered_file(FileType::Pack, 1), bad,
                [&](const Status& status) { broken.set_value(status); });
  backend->save(numbered_file(FileType::Pack, 2), in_memory(std::make_shared<const Bytes>(Bytes(100'000))),
                [&](const Status& status) { next.set_value(status); });
  EXPECT_FALSE(broken.get_future().get().ok());
  EXPECT_TRUE(next.get_future().get().ok());
}

TEST_F(RcloneBackendTest, ReadsCompleteThoughRcloneIsKilledAgainAndAgain) {
  auto inner = open();
  RcloneBackend* rclone = inner.get();
  RetryBackend backend(std::move(inner), RetryPolicy{}, make_timer(), log_);
  const FileName file = numbered_file(FileType::Pack, 1);
  Bytes content(32U << 20U);
  for (std::size_t i = 0; i < content.size(); ++i)
    content[i] = static_cast<std::uint8_t>(i * 31 + (i >> 12U));
  save(backend, file, std::make_shared<const Bytes>(content));

  constexpr unsigned kReads = 300;
  std::atomic<unsigned> right{0};
  std::atomic<unsigned> completed{0};
  for (unsigned i = 0; i < kReads; ++i) {
    const ByteRange range{(i * 104729ULL) % (28U << 20U), 1U << 20U};
    backend.load_range(file, range, Urgency::Demand, [&, range](Result<Bytes> got) {
      const auto from = content.begin() + static_cast<std::ptrdiff_t>(range.offset);
      if (got.ok() && std::equal(got.value().begin(), got.value().end(), from)) ++right;
      ++completed;
    });
  }
  pid_t killed = 0;
  for (unsigned deaths = 0; deaths < 3; ++deaths) {
    const unsigned before = completed;
    ASSERT_TRUE(eventually([&] { return completed > before + 5 || completed == kReads; }));
    const pid_t pid = rclone->rclone_pid();
    if (pid != 0 && pid != killed) ::kill(pid, SIGKILL);
    killed = pid;
  }
  ASSERT_TRUE(eventually([&] { return completed == kReads; }));
  EXPECT_EQ(right, kReads);
}

TEST_F(RcloneBackendTest, NoRcloneOutlivesAProcessThatIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const auto backend = open();
    const pid_t pid = backend->rclone_pid();
    (void)!::write(ends[1], &pid, sizeof pid);
    for (;;) ::pause();
  }
  pid_t rclone = 0;
  ASSERT_EQ(::read(ends[0], &rclone, sizeof rclone), static_cast<ssize_t>(sizeof rclone));
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_TRUE(running(rclone));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return !running(rclone); }));
}

TEST(OpenBackend, UnderstandsWhereARepositoryIs) {
  EXPECT_EQ(parse_location("rclone:b2prod:a/b").kind, Location::Kind::Rclone);
  EXPECT_EQ(parse_location("rclone:b2prod:a/b").where, "b2prod:a/b");
  EXPECT_EQ(parse_location("local:/srv/x").where, "/srv/x");
  EXPECT_EQ(parse_location("/srv/x").kind, Location::Kind::Local);
  EXPECT_EQ(parse_location("relative/x").where, "relative/x");
  for (const char* bad :
       {"", "rclone:", "rclone:noremote", "rclone:-x:y", "local:", "s3:host/bucket", "sftp:h:/p"}) {
    try {
      parse_location(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Usage) << bad;
    }
  }
}

TEST(OpenBackend, OpensAFolderAndSaysWhenThereIsNone) {
  Log log(Log::Sink::Nothing);
  const TemporaryFolder folder;
  EXPECT_TRUE(list(*open_backend(parse_location(folder.path().string()), {}, log), FileType::Key).empty());
  try {
    open_backend(parse_location(folder.file("missing")), {}, log);
    FAIL() << "it opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::NotFound);
  }
}

TEST(OpenBackend, OpensARemoteOfRclone) {
  Log log(Log::Sink::Nothing);
  const TemporaryFolder folder;
  const auto backend = open_backend(parse_location("rclone::local:" + folder.path().string()), {}, log);
  EXPECT_TRUE(list(*backend, FileType::Key).empty());
}

}  // namespace
}  // namespace restic::transport
