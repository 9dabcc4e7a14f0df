// SPDX-License-Identifier: MIT
#include "tools/daemonize.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::tools {
namespace {

// What a program did that ran `serve` in the background: its exit code, its stderr, and what the daemon
// wrote.
struct Outcome {
  int code = -1;
  std::string printed, from_daemon;
};

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 512> part{};
  for (ssize_t got = 0; (got = ::read(fd, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return text;
}

// `serve` gets a descriptor that only the daemon holds open, to leave notes on.
Outcome run(const std::function<void(Startup&, StopSignals&, int notes)>& serve) {
  std::array<int, 2> err{};
  std::array<int, 2> notes{};
  EXPECT_EQ(::pipe(err.data()), 0);
  EXPECT_EQ(::pipe(notes.data()), 0);
  const pid_t program = ::fork();
  if (program == 0) {
    ::dup2(err[1], STDERR_FILENO);
    for (const int fd : {err[0], err[1], notes[0]}) ::close(fd);
    Terminal terminal("repo");
    const ExitCode code = serve_in_background(
        [&](Startup& startup, StopSignals& signals) { serve(startup, signals, notes[1]); }, terminal);
    ::_exit(static_cast<int>(code));
  }
  ::close(err[1]);
  ::close(notes[1]);
  Outcome outcome;
  outcome.printed = read_to_end(err[0]);
  int status = 0;
  ::waitpid(program, &status, 0);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.from_daemon = read_to_end(notes[0]);
  ::close(err[0]);
  ::close(notes[0]);
  return outcome;
}

void note(int notes, const std::string& text) {
  if (::write(notes, text.data(), text.size()) < 0) ::_exit(99);
}

TEST(Background, ReturnsZeroOnceTheDaemonIsReadyAndTheDaemonGoesOn) {
  const Outcome outcome = run([](Startup& startup, StopSignals&, int notes) {
    startup.ready();
    note(notes, ::getsid(0) == ::getpid() ? "leads its session" : "does not");
    std::array<char, 16> folder{};
    note(notes, ::getcwd(folder.data(), folder.size()) != nullptr ? std::string(" in ") + folder.data() : "");
  });
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.printed, "");
  EXPECT_EQ(outcome.from_daemon, "leads its session in /");
}

TEST(Background, ADaemonThatWasReadiedByAnyThreadOutlivesItsCaller) {
  const Outcome outcome = run([](Startup& startup, StopSignals&, int notes) {
    const pid_t caller = ::getppid();
    std::thread([&] { startup.ready(); }).join();
    while (::getppid() == caller) std::this_thread::yield();
    note(notes, "still here");
  });
  EXPECT_EQ(outcome.from_daemon, "still here");
}

TEST(Background, ACallerThatGoesTakesTheDaemonThatIsNotReadyWithIt) {
  const Outcome outcome = run([](Startup&, StopSignals&, int notes) {
    note(notes, "alone");
    ::kill(::getppid(), SIGKILL);
    ::pause();
    note(notes, "still here");
  });
  EXPECT_EQ(outcome.code, -1);
  EXPECT_EQ(outcome.from_daemon, "alone");
}

TEST(Background, AFailureReachesTheCallerAsOneLine) {
  const Outcome outcome =
      run([](Startup&, StopSignals&, int) { throw Error(Errc::WrongPassword, "wrong\npassword\x1b[31m\n"); });
  EXPECT_EQ(outcome.code, 32);
  EXPECT_EQ(outcome.printed, "mount.restic: wrong password [31m\n");
}

TEST(Background, ADaemonThatDiesIsNoticed) {
  const Outcome outcome = run([](Startup&, StopSignals&, int) { ::raise(SIGKILL); });
  EXPECT_EQ(outcome.code, 32);
  EXPECT_EQ(outcome.printed, "mount.restic: the mounting process ended on signal 9\n");
}

TEST(Background, RunningOutOfMemoryIsTheSystemsFault) {
  EXPECT_EQ(run([](Startup&, StopSignals&, int) { throw std::bad_alloc(); }).code, 2);
}

TEST(Background, ASignalThatComesLaterIsHandedToTheServer) {
  const Outcome outcome = run([](Startup& startup, StopSignals& signals, int notes) {
    std::array<int, 2> stopped{};
    ASSERT_EQ(::pipe(stopped.data()), 0);
    signals.redirect([&] { note(stopped[1], "s"); });
    startup.ready();
    ::kill(::getpid(), SIGHUP);
    ::kill(::getpid(), SIGTERM);
    char byte = 0;
    ASSERT_EQ(::read(stopped[0], &byte, 1), 1);
    note(notes, "ended cleanly");
  });
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.from_daemon, "ended cleanly");
}

TEST(FailureLine, HasNoLineBreaks) { EXPECT_EQ(failure_line("a\r\n\tb\n"), "mount.restic: a b"); }

}  // namespace
}  // namespace restic::tools
