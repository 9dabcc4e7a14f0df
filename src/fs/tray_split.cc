// SPDX-License-Identifier: MIT
#include "fs/tray_split.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fs/state_files.h"

namespace restic::fs {
namespace {

constexpr std::size_t kMaxEntries = 100'000'000;  // of one folder
constexpr const char* kCannotMove = "cannot take a file that is still being written over into the next drop";

void copy_xattrs(int from, int to) {
  std::vector<char> names(65536);
  const ssize_t length = ::flistxattr(from, names.data(), names.size());
  std::vector<char> value(65536);
  for (ssize_t at = 0; at < length;) {
    const char* name = names.data() + at;
    const ssize_t size = ::fgetxattr(from, name, value.data(), value.size());
    if (size >= 0 && ::fsetxattr(to, name, value.data(), static_cast<std::size_t>(size), 0) != 0 &&
        errno != EPERM && errno != ENOTSUP) {
      throw system_error(kCannotMove, errno);
    }
    at += static_cast<ssize_t>(std::strlen(name)) + 1;
  }
}

void restore_times(int folder, const struct stat& status) {
  const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
  if (::futimens(folder, times.data()) != 0) throw system_error(kCannotMove, errno);
}

class Mover {
 public:
  explicit Mover(const std::unordered_set<FileKey, FileKeyHash>& keys) : keys_(keys) {}

  // The folder to move into is made by `make_target` when the first file wants it.
  void move_below(int from, const std::function<UniqueFd()>& make_target) {
    UniqueFd target;
    const auto get_target = [&]() -> int {
      if (!target) target = make_target();
      return target.get();
    };
    struct stat folder {};
    if (::fstat(from, &folder) != 0) throw system_error(kCannotMove, errno);
    bool moved = false;
    for (const std::string& name : list_folder(from, kMaxEntries)) {
      struct stat status {};
      if (::fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        throw system_error(kCannotMove, errno);
      }
      if (S_ISDIR(status.st_mode)) {
        const UniqueFd child = open_folder(from, name);
        move_below(child.get(), [&] { return make_folder_once(get_target(), name); });
        continue;
      }
      const FileKey key{status.st_dev, status.st_ino};
      if (!keys_.contains(key)) continue;
      if (::renameat(from, name.c_str(), get_target(), name.c_str()) != 0) {
        throw system_error(kCannotMove, errno);
      }
      found_.insert(key);
      moved = true;
    }
    if (target) {
      // Only now, for moving changes the time and may need the mode that it was made with.
      copy_look(from, folder, target.get());
      if (moved) restore_times(from, folder);
    }
  }
  std::unordered_set<FileKey, FileKeyHash> found() && { return std::move(found_); }

 private:
  static UniqueFd make_folder_once(int parent, const std::string& name) {
    if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) throw system_error(kCannotMove, errno);
    return open_folder(parent, name);
  }
  static void copy_look(int from, const struct stat& status, int to) {
    copy_xattrs(from, to);
    if (::fchown(to, status.st_uid, status.st_gid) != 0 && errno != EPERM) {
      throw system_error(kCannotMove, errno);
    }
    if (::fchmod(to, status.st_mode & 07777U) != 0) throw system_error(kCannotMove, errno);
    restore_times(to, status);
  }

  const std::unordered_set<FileKey, FileKeyHash>& keys_;
  std::unordered_set<FileKey, FileKeyHash> found_;
};

}  // namespace

std::unordered_set<FileKey, FileKeyHash> move_files(int from, int to,
                                                    const std::unordered_set<FileKey, FileKeyHash>& keys) {
  Mover mover(keys);
  mover.move_below(from, [to] {
    UniqueFd target(::dup(to));
    if (!target) throw system_error(kCannotMove, errno);
    return target;
  });
  return std::move(mover).found();
}

}  // namespace restic::fs
