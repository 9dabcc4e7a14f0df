// SPDX-License-Identifier: MIT
#include "transport/spawn.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace restic::transport {
namespace {

constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kPipeSize = 1 << 20;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Error start_error(const std::string& program, int code) {
  return {Errc::Io, "cannot start " + program + ": " + std::generic_category().message(code)};
}

Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw start_error(program, errno);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::string path_variable() {
  const char* path =
      std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here changes the environment
  return path != nullptr && *path != '\0' ? path : kUsualPath;
}

std::string find_program(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  const std::string path = path_variable();
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    std::string candidate = path.substr(start, end - start) + "/" + program;
    if (end != start && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  throw Error(Errc::Usage, program + " was not found in " + path +
                               ": install it, or say where it is with -o rclone-program=");
}

std::string home_folder() {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return "/";
  return entry.pw_dir;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// What the child needs, all of it made before the fork.
struct ChildPlan {
  const char* path;
  char* const* arguments;
  char* const* environment;
  int input;
  int output;
  int errors;
  int failure;  // gets errno when the program cannot be run
  pid_t parent;
};

// Runs between fork and exec: nothing but async-signal-safe calls.
[[noreturn]] void become(const ChildPlan& plan) {
  ::setpgid(0, 0);
  // The sentence is bound to the thread that forked. Should we have died since, nobody else speaks it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  // dup2 clears close-on-exec; everything else that a library left open goes as the program starts.
  const bool wired = ::dup2(plan.input, STDIN_FILENO) >= 0 && ::dup2(plan.output, STDOUT_FILENO) >= 0 &&
                     ::dup2(plan.errors, STDERR_FILENO) >= 0;
  ::syscall(SYS_close_range, 3U, ~0U, 1U << 2U /* CLOSE_RANGE_CLOEXEC */);
  if (wired) ::execve(plan.path, plan.arguments, plan.environment);
  const int code = errno;
  (void)!::write(plan.failure, &code, sizeof code);
  ::_exit(127);
}

// The errno with which exec failed; 0 when the program runs.
int exec_failure(const UniqueFd& failure) {
  int code = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure.get(), &code, sizeof code);
  } while (got < 0 && errno == EINTR);
  return got == sizeof code ? code : 0;
}

// Pipes on 0, 1 or 2 (we may have been started with those closed) would be overwritten by the child's dup2.
void lift(UniqueFd& fd, const std::string& program) {
  if (fd.get() > STDERR_FILENO) return;
  const int lifted = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (lifted < 0) throw start_error(program, errno);
  fd.reset(lifted);
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::vector<std::string> child_environment() {
  constexpr std::string_view kPause = "RCLONE_WEBDAV_PACER_MIN_SLEEP=";
  constexpr std::array<std::string_view, 4> kUnwanted{
      "RCLONE_DRY_RUN=", "RCLONE_BASEURL=", "RCLONE_USER=", "RCLONE_PASS="};
  std::vector<std::string> kept;
  bool has_home = false;
  bool has_path = false;
  bool has_pause = false;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (std::any_of(kUnwanted.begin(), kUnwanted.end(), [&](auto name) { return text.starts_with(name); }))
      continue;
    has_home = has_home || (text.starts_with("HOME=") && text.size() > 5);
    has_path = has_path || (text.starts_with("PATH=") && text.size() > 5);
    has_pause = has_pause || text.starts_with(kPause);
    kept.emplace_back(text);
  }
  if (!has_home) kept.push_back("HOME=" + home_folder());
  if (!has_path) kept.push_back(std::string("PATH=") + kUsualPath);
  if (!has_pause) kept.push_back(std::string(kPause) + "1ms");
  return kept;
}

SpawnedProgram spawn_program(const std::string& program, const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment) {
  const std::string path = find_program(program);
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Pipe input = make_pipe(program);
  Pipe output = make_pipe(program);
  Pipe errors = make_pipe(program);
  Pipe failure = make_pipe(program);
  for (UniqueFd* fd : {&input.read_end, &output.write_end, &errors.write_end, &failure.write_end})
    lift(*fd, program);
  // Larger pipes save system calls; a limit of the machine's only makes them smaller.
  (void)::fcntl(input.write_end.get(), F_SETPIPE_SZ, kPipeSize);
  (void)::fcntl(output.read_end.get(), F_SETPIPE_SZ, kPipeSize);
  (void)::fcntl(errors.read_end.get(), F_SETFL, O_NONBLOCK);
  const std::vector<char*> argument_list = pointers(words);
  const std::vector<char*> environment_list = pointers(environment);
  const ChildPlan plan{
      path.c_str(),           argument_list.data(),   environment_list.data(), input.read_end.get(),
      output.write_end.get(), errors.write_end.get(), failure.write_end.get(), ::getpid()};

  SpawnedProgram spawned;
  spawned.pid = ::fork();
  if (spawned.pid == 0) become(plan);
  if (spawned.pid < 0) throw start_error(program, errno);
  // With the child's ends closed here, its death is the end of our reads.
  failure.write_end.reset();
  if (const int code = exec_failure(failure.read_end); code != 0) {
    reap(spawned.pid);
    throw Error(Errc::Usage, "cannot run " + path + ": " + std::generic_category().message(code));
  }
  spawned.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  if (!spawned.pidfd) {
    const int code = errno;
    ::kill(spawned.pid, SIGKILL);
    reap(spawned.pid);
    throw start_error(program, code);
  }
  spawned.stdin_pipe = std::move(input.write_end);
  spawned.stdout_pipe = std::move(output.read_end);
  spawned.stderr_pipe = std::move(errors.read_end);
  return spawned;
}

}  // namespace restic::transport
