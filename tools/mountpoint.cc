// SPDX-License-Identifier: MIT
#include "tools/mountpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::tools {
namespace {

namespace files = std::filesystem;

[[noreturn]] void refuse(const std::string& path, int reason) {
  const std::string place = "mountpoint " + path;
  switch (reason) {
    case ENOENT:
      throw Error(Errc::NotFound, place + " does not exist; make it with mkdir -p");
    case ENOTDIR:
      throw Error(Errc::Usage, place + " is not a folder");
    case EACCES:
      throw Error(Errc::Denied, place + " cannot be entered: permission denied");
    case ENOTCONN:
    case ECONNABORTED:
      throw Error(
          Errc::Unavailable,
          place + " is what a mount left behind that has died; unmount it first: fusermount3 -u " + path);
    default:
      throw Error(Errc::Io, place + " cannot be used: " + std::generic_category().message(reason));
  }
}

// What fusermount3 asks of a folder that another user than root mounts on.
void require_own(const std::string& path, int folder) {
  if (::geteuid() == 0) return;
  struct stat status {};
  if (::fstat(folder, &status) != 0) refuse(path, errno);
  const bool shared = (status.st_mode & S_ISVTX) != 0 && status.st_uid != ::getuid();
  if (!shared && ::faccessat(folder, ".", W_OK, 0) == 0) return;
  throw Error(Errc::Denied, "mountpoint " + path +
                                " is not yours to mount on; name a folder of your own, or mount as root");
}

bool is_or_contains(const files::path& outer, const files::path& inner) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace

std::string resolve_mountpoint(const std::string& path) {
  std::error_code failure;
  const files::path resolved = files::canonical(path, failure);
  if (failure) refuse(path, failure.value());
  const UniqueFd folder(::open(resolved.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) refuse(path, errno);
  require_own(path, folder.get());
  return resolved.string();
}

bool others_may_be_let_in(const std::string& configuration) {
  constexpr const char* kSpace = " \t\r";
  std::ifstream file(configuration);
  if (!file) return ::access(configuration.c_str(), F_OK) == 0;  // fusermount3 can read it
  for (std::string line; std::getline(file, line);) {
    line.resize(std::min(line.find('#'), line.size()));
    const std::size_t begin = line.find_first_not_of(kSpace);
    if (begin == std::string::npos) continue;
    if (line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin) == "user_allow_other") return true;
  }
  return false;
}

void refuse_overlap(const std::string& mountpoint, const std::string& what, const std::string& folder) {
  if (folder.empty()) return;
  std::error_code failure;
  const files::path resolved = files::weakly_canonical(folder, failure);
  const files::path other = failure ? files::path(folder).lexically_normal() : resolved;
  const files::path mount(mountpoint);
  const auto refuse_because = [&](const char* relation) {
    throw Error(Errc::Usage, "mountpoint " + mountpoint + relation + what + " " + other.string() +
                                 "; mount somewhere else, or a request to the mount would wait for itself");
  };
  if (mount == other) refuse_because(" is ");
  if (is_or_contains(other, mount)) refuse_because(" lies inside ");
  if (is_or_contains(mount, other)) refuse_because(" contains ");
}

void require_fuse_device() {
  constexpr const char* kDevice = "/dev/fuse";
  const UniqueFd device(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (device) return;
  const std::string what =
      std::string("cannot open ") + kDevice + ": " + std::generic_category().message(errno);
  if (errno == EACCES)
    throw Error(Errc::Denied, what + "; let all users read and write it: chmod 666 /dev/fuse");
  throw Error(Errc::Unsupported, what + "; load the kernel's module: modprobe fuse");
}

}  // namespace restic::tools
