// SPDX-License-Identifier: MIT
#include "tools/daemonize.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"
#include "tools/daemon_channel.h"
#include "tools/text_file.h"

namespace restic::tools {
namespace {

struct Failure {
  ExitCode code;
  std::string reason;
};

// Runs `serve` and says how it failed; nullopt: it did not.
std::optional<Failure> failure_of(const Serve& serve, Startup& startup, StopSignals& signals) {
  try {
    serve(startup, signals);
    return std::nullopt;
  } catch (const Error& failure) {
    return Failure{ExitCode::MountFailed, failure.what()};
  } catch (const std::bad_alloc&) {
    return Failure{ExitCode::System, "out of memory"};
  } catch (const std::exception& failure) {
    return Failure{ExitCode::System, failure.what()};
  }
}

void print_failure(const std::string& reason) {
  const std::string line = failure_line(reason) + "\n";
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // nobody listens
}

void redirect_to_null(std::initializer_list<int> descriptors) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  for (const int descriptor : descriptors) ::dup2(null.get(), descriptor);
}

// The daemon's side of Startup. The process ends when the other side goes before ready().
class RemoteStartup : public Startup {
 public:
  explicit RemoteStartup(DaemonChannel channel)
      : channel_(std::move(channel)), watcher_([this] {
          channel_.wait_for_hangup();
          if (!released_) ::_exit(static_cast<int>(ExitCode::MountFailed));
        }) {}
  ~RemoteStartup() override { release(); }

  std::optional<std::string> ask_password(int attempt) override {
    DaemonMessage question(DaemonMessage::Kind::AskPassword);
    question.attempt = attempt;
    channel_.send(question);
    return channel_.receive_password();
  }
  void show_progress(std::size_t done, std::size_t total) override {
    DaemonMessage progress(DaemonMessage::Kind::Progress);
    progress.done = done;
    progress.total = total;
    channel_.send(progress);
  }
  void ready() override {
    redirect_to_null({STDERR_FILENO});
    released_ = true;  // before the other side knows that it may go
    channel_.send(DaemonMessage(DaemonMessage::Kind::Ready));
    release();
  }
  void fail(const Failure& failure) {
    DaemonMessage message(DaemonMessage::Kind::Failed);
    message.code = failure.code;
    message.reason = failure.reason;
    channel_.send(message);
  }

 private:
  void release() {
    released_ = true;
    channel_.hang_up();
  }

  DaemonChannel channel_;
  std::atomic<bool> released_{false};
  std::jthread watcher_;
};

ExitCode be_the_daemon(const Serve& serve, DaemonChannel channel) {
  ::setsid();
  redirect_to_null({STDIN_FILENO, STDOUT_FILENO});
  if (::chdir("/") != 0) return ExitCode::System;
  StopSignals signals([] { ::_exit(static_cast<int>(ExitCode::MountFailed)); });
  RemoteStartup startup(std::move(channel));
  const std::optional<Failure> failure = failure_of(serve, startup, signals);
  if (failure) startup.fail(*failure);
  return failure ? failure->code : ExitCode::Ok;
}

ExitCode exit_code_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::string how = "without a word";
  if (WIFSIGNALED(status)) how = "on signal " + std::to_string(WTERMSIG(status));
  print_failure("the mounting process ended " + how);
  return ExitCode::MountFailed;
}

// Answers the daemon until it is ready or has failed.
ExitCode attend(const DaemonChannel& channel, pid_t child, Terminal& terminal) {
  while (const std::optional<DaemonMessage> message = channel.receive()) {
    switch (message->kind) {
      case DaemonMessage::Kind::Progress:
        terminal.show_progress(message->done, message->total);
        break;
      case DaemonMessage::Kind::AskPassword: {
        std::optional<std::string> password = terminal.ask_password(message->attempt);
        channel.send_password(password);
        if (password) wipe(*password);
        break;
      }
      case DaemonMessage::Kind::Ready:
        terminal.ready();
        return ExitCode::Ok;
      case DaemonMessage::Kind::Failed:
        terminal.tidy_up();
        print_failure(message->reason);
        while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
        }
        return message->code;
    }
  }
  terminal.tidy_up();
  return exit_code_of(child);
}

}  // namespace

ExitCode serve_in_foreground(const Serve& serve, Terminal& terminal) {
  StopSignals signals([&terminal] {
    terminal.tidy_up();
    ::_exit(static_cast<int>(ExitCode::MountFailed));
  });
  const std::optional<Failure> failure = failure_of(serve, terminal, signals);
  terminal.tidy_up();
  if (failure) print_failure(failure->reason);
  return failure ? failure->code : ExitCode::Ok;
}

ExitCode serve_in_background(const Serve& serve, Terminal& terminal) {
  DaemonChannel::Ends ends = DaemonChannel::make_ends();
  const pid_t child = ::fork();
  if (child < 0) {
    print_failure("cannot start a process: " + std::generic_category().message(errno));
    return ExitCode::System;
  }
  if (child == 0) {
    ends.waiting.close();
    ::_exit(static_cast<int>(be_the_daemon(serve, std::move(ends.daemon))));
  }
  ends.daemon.close();
  const StopSignals signals([&terminal, child] {
    terminal.tidy_up();
    ::kill(child, SIGTERM);
    ::_exit(static_cast<int>(ExitCode::MountFailed));
  });
  return attend(ends.waiting, child, terminal);
}

std::string failure_line(const std::string& reason) {
  std::string line = "mount.restic: ";
  for (const char c : reason) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (!control) line += c;
    if (control && !line.ends_with(' ')) line += ' ';
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace restic::tools
