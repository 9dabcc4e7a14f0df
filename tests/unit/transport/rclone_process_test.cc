// SPDX-License-Identifier: MIT
#include "transport/rclone_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "support/hanging_disk.h"
#include "support/processes.h"
#include "support/script.h"
#include "support/temporary_folder.h"
#include "transport/spawn.h"

namespace restic::transport {
namespace {

using test::eventually;
using test::running;
using test::state_of;
using test::TemporaryFolder;
using test::write_script;
using namespace std::chrono_literals;

std::string read_all(const UniqueFd& fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, buffer + got);
  return text;
}

class RcloneProcessTest : public testing::Test {
 protected:
  std::string script(const std::string& body) { return write_script(folder_.file("fake-rclone"), body); }

  TemporaryFolder folder_;
  Log log_{Log::Sink::Nothing};
};

TEST_F(RcloneProcessTest, TalksThroughItsStandardStreams) {
  RcloneProcess process(script("read line; echo \"got $line $1\""), {"argument"}, log_);
  UniqueFd in = process.take_stdin();
  ASSERT_EQ(::write(in.get(), "hello\n", 6), 6);
  EXPECT_EQ(read_all(process.take_stdout()), "got hello argument\n");
}

TEST_F(RcloneProcessTest, IsGoneAfterStopWithAllItStartedEvenIfItIgnoresSignals) {
  RcloneProcess process(script("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1; done"), {}, log_);
  const UniqueFd out = process.take_stdout();
  char line[32] = {};
  ASSERT_GT(::read(out.get(), line, sizeof line - 1), 0);
  const pid_t grandchild = static_cast<pid_t>(std::stol(line));
  EXPECT_TRUE(running(grandchild));
  EXPECT_FALSE(process.stop(50ms));
  EXPECT_FALSE(running(process.pid()));
  EXPECT_TRUE(eventually([&] { return !running(grandchild); }));
}

TEST_F(RcloneProcessTest, IsLeftWhenADiskKeepsItFromDying) {
  std::optional<test::HangingDisk> disk(std::in_place);
  RcloneProcess process(script("echo; exec stat " + disk->file("x")), {}, log_);
  const UniqueFd out = process.take_stdout();
  char line = 0;
  ASSERT_EQ(::read(out.get(), &line, 1), 1);
  ASSERT_TRUE(eventually([&] { return disk->was_asked(); }));
  EXPECT_FALSE(process.stop(50ms));
  EXPECT_EQ(state_of(process.pid()), "D");
  EXPECT_NE(process.last_words().find("does not even die"), std::string::npos) << process.last_words();
  disk.reset();
  EXPECT_TRUE(eventually([&] { return !running(process.pid()); }));
}

TEST_F(RcloneProcessTest, EndsByItselfWhenItsInputIsClosed) {
  RcloneProcess process(script("cat >/dev/null"), {}, log_);
  EXPECT_TRUE(process.stop(10s));
}

TEST_F(RcloneProcessTest, KeepsItsLastWordsWithoutTimeStamps) {
  RcloneProcess process(script("echo '2026/01/31 10:00:00 NOTICE: Config file not found' >&2\n"
                               "echo '2026/01/31 10:00:00 CRITICAL: no such remote' >&2\n"
                               "echo '2026/01/31 10:00:00 NOTICE: bye' >&2; exit 3"),
                        {}, log_);
  process.stop(10s);
  EXPECT_NE(process.last_words().find("ended with status 3: no such remote"), std::string::npos)
      << process.last_words();
  EXPECT_NE(log_.last_problem().find("no such remote"), std::string::npos);
}

TEST_F(RcloneProcessTest, AFloodOnStderrNeitherBlocksItNorFillsMemory) {
  RcloneProcess process(script("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2"), {},
                        log_);
  EXPECT_TRUE(process.stop(30s));
  EXPECT_NE(process.last_words().find(": end"), std::string::npos);
}

TEST_F(RcloneProcessTest, AProgramThatIsNotThereIsTheUsersProblem) {
  for (const char* name : {"no-such-rclone-program", "/no/such/rclone"}) {
    try {
      RcloneProcess process(name, {}, log_);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Usage);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos);
    }
  }
}

TEST_F(RcloneProcessTest, GetsNoFileThatALibraryLeftOpen) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd leaky(::fcntl(null.get(), F_DUPFD, 100));  // stays open across exec
  RcloneProcess process(script("ls /proc/$$/fd"), {}, log_);
  const std::string open = read_all(process.take_stdout());
  EXPECT_EQ(open.substr(0, 4), "0\n1\n") << open;
  EXPECT_EQ(open.find(std::to_string(leaky.get())), std::string::npos) << open;
}

TEST_F(RcloneProcessTest, StartsInItsOwnGroupWithDefaultSignals) {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &usr1, &before);
  RcloneProcess process(script("grep -E 'SigBlk|SigIgn' /proc/self/status; cut -d' ' -f5 /proc/$$/stat"), {},
                        log_);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::string text = read_all(process.take_stdout());
  EXPECT_NE(text.find("SigBlk:\t0000000000000000"), std::string::npos) << text;
  EXPECT_NE(text.find("SigIgn:\t0000000000000000"), std::string::npos) << text;
  EXPECT_NE(text.find("\n" + std::to_string(process.pid()) + "\n"), std::string::npos) << text;
}

TEST(ChildEnvironment, HidesWhatWouldChangeWhatRcloneServes) {
  for (const char* name : {"RCLONE_DRY_RUN", "RCLONE_BASEURL", "RCLONE_USER", "RCLONE_PASS"}) {
    ::setenv(name, "x", 1);  // NOLINT(concurrency-mt-unsafe): the test has one thread
  }
  ::setenv("RCLONE_CONFIG_PASS", "kept", 1);  // NOLINT(concurrency-mt-unsafe)
  bool kept = false;
  for (const std::string& entry : child_environment()) {
    kept = kept || entry == "RCLONE_CONFIG_PASS=kept";
    for (const char* hidden : {"RCLONE_DRY_RUN=", "RCLONE_BASEURL=", "RCLONE_USER=", "RCLONE_PASS="}) {
      EXPECT_FALSE(entry.starts_with(hidden)) << entry;
    }
  }
  EXPECT_TRUE(kept);
}

TEST(ChildEnvironment, ShortensThePauseBetweenWebDavCallsUnlessItIsGiven) {
  const std::string name = "RCLONE_WEBDAV_PACER_MIN_SLEEP";
  const auto pauses = [&] {
    std::vector<std::string> found;
    for (const std::string& entry : child_environment()) {
      if (entry.starts_with(name + "=")) found.push_back(entry.substr(name.size() + 1));
    }
    return found;
  };
  ::unsetenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): the test has one thread
  EXPECT_EQ(pauses(), std::vector<std::string>{"1ms"});
  ::setenv(name.c_str(), "20ms", 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(pauses(), std::vector<std::string>{"20ms"});
  ::unsetenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
}

TEST(ChildEnvironment, MakesUpHomeAndPath) {
  ::unsetenv("HOME");  // NOLINT(concurrency-mt-unsafe): the test has one thread
  ::unsetenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  bool home = false;
  bool path = false;
  for (const std::string& entry : child_environment()) {
    home = home || (entry.starts_with("HOME=/") && entry.size() > 5);
    path = path || entry.find("/usr/bin") != std::string::npos;
  }
  EXPECT_TRUE(home);
  EXPECT_TRUE(path);
}

TEST(RcloneLog, LinesLoseTheirTimeAndLevel) {
  EXPECT_EQ(without_log_prefix("2026/01/31 10:00:00 ERROR : a/b: failed"), "a/b: failed");
  EXPECT_EQ(without_log_prefix("2026/01/31 10:00:00 Failed to create"), "Failed to create");
  EXPECT_EQ(without_log_prefix("NOTICE: x"), "x");
  EXPECT_EQ(without_log_prefix("plain"), "plain");
  EXPECT_EQ(without_log_prefix(""), "");
}

}  // namespace
}  // namespace restic::transport
