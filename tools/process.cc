// SPDX-License-Identifier: MIT
#include "tools/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::tools {
namespace {

void complete_home() {
  // NOLINTBEGIN(concurrency-mt-unsafe): no thread runs yet
  if (std::getenv("HOME") != nullptr) return;
  const passwd* user = ::getpwuid(::geteuid());
  if (user != nullptr && user->pw_dir != nullptr) ::setenv("HOME", user->pw_dir, 1);
  // NOLINTEND(concurrency-mt-unsafe)
}

// Buffers of a blob's size come and go all the time, on many threads. glibc's own settings would either fault
// in their pages anew each time or keep them apart for every thread; from one arena they are used again at
// once. What is larger goes back to the system when it is freed.
void set_up_memory() {
  constexpr int kMapped = 6 << 20;  // bytes; few of the blobs that restic cuts are larger
  constexpr int kKept = 16 << 20;   // free bytes at the end of the heap that are not given back
  // NOLINTBEGIN(concurrency-mt-unsafe): no thread runs yet
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, kMapped);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
  // NOLINTEND(concurrency-mt-unsafe)
}

}  // namespace

void prepare_process() {
  set_up_memory();
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  complete_home();
}

void erase_variable(const char* name) {
  // NOLINTBEGIN(concurrency-mt-unsafe): no thread runs yet
  char* text = std::getenv(name);
  if (text == nullptr) return;
  ::explicit_bzero(text, std::strlen(text));
  ::unsetenv(name);
  // NOLINTEND(concurrency-mt-unsafe)
}

void enter_name_space(const std::string& name_space) {
  const bool is_id = name_space.find_first_not_of("0123456789") == std::string::npos;
  const std::string path = is_id ? "/proc/" + name_space + "/ns/mnt" : name_space;
  const UniqueFd entry(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!entry || ::setns(entry.get(), CLONE_NEWNS) != 0) {
    throw Error(Errc::Denied,
                "cannot enter the mount namespace " + path + ": " + std::generic_category().message(errno));
  }
}

}  // namespace restic::tools
