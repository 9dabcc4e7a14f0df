// SPDX-License-Identifier: MIT
#include "fs/tray_split.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fs/state_files.h"
#include "repo/folder_walk.h"

namespace restic::fs {
namespace {

constexpr const char* kCannotMove = "cannot take a file that is still being written over into the next drop";
constexpr int kMaxSameName = 1000;

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

void copy_look(int from, int to) {
  struct stat status {};
  if (::fstat(from, &status) != 0) throw system_error(kCannotMove, errno);
  copy_xattrs(from, to);
  if (::fchown(to, status.st_uid, status.st_gid) != 0 && errno != EPERM) {
    throw system_error(kCannotMove, errno);
  }
  if (::fchmod(to, status.st_mode & 07777U) != 0) throw system_error(kCannotMove, errno);
  restore_times(to, status);
}

// The folder with this path below another, which may be longer than a system call takes; its missing parts
// are made on request.
UniqueFd open_below(int top, const std::string& path, bool make) {
  UniqueFd folder = open_folder(top, ".");
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (make && ::mkdirat(folder.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
      throw system_error(kCannotMove, errno);
    }
    folder = open_folder(folder.get(), name);
    begin = end + 1;
  }
  return folder;
}

using NamesByFolder = std::map<std::string, std::vector<std::string>>;  // by its path; empty: the top

// Finds the files in `keys`, or all when there are none given.
class Finder final : public repo::FolderVisitor {
 public:
  explicit Finder(const std::unordered_set<FileKey, FileKeyHash>* keys) : keys_(keys) {}

  bool enter_folder(int, const std::string&, const std::string&) override { return true; }
  void leave_folder() override {}
  void visit(int, const std::string& name, const struct stat& status, const std::string& path) override {
    if (keys_ != nullptr && !keys_->contains({status.st_dev, status.st_ino})) return;
    const std::size_t folder = path.size() - name.size();
    found_[path.substr(0, folder == 0 ? 0 : folder - 1)].push_back(name);
  }
  void unreadable(const std::string&, int error) override { throw system_error(kCannotMove, error); }

  const NamesByFolder& found() const { return found_; }

 private:
  const std::unordered_set<FileKey, FileKeyHash>* keys_;
  NamesByFolder found_;
};

// Like renameat(), but fails with EEXIST where that would replace something.
int rename_to_free_place(int from, const std::string& name, int to, const std::string& new_name) {
  const int result = ::renameat2(from, name.c_str(), to, new_name.c_str(), RENAME_NOREPLACE);
  if (result == 0 || errno != EINVAL) return result;
  // This file system cannot do that in one step.
  struct stat status {};
  if (::fstatat(to, new_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return ::renameat(from, name.c_str(), to, new_name.c_str());
}

void move_name(int from, int to, const std::string& name) {
  std::string new_name = name;
  for (int number = 1; rename_to_free_place(from, name, to, new_name) != 0; ++number) {
    if (errno != EEXIST || number > kMaxSameName) throw system_error(kCannotMove, errno);
    new_name = name + "." + std::to_string(number);
  }
}

// The folder that the files leave keeps its times.
void move_names(int from, int to, const std::vector<std::string>& names) {
  struct stat status {};
  if (::fstat(from, &status) != 0) throw system_error(kCannotMove, errno);
  for (const std::string& name : names) {
    move_name(from, to, name);
  }
  restore_times(from, status);
}

}  // namespace

void move_files(int from, int to, const std::unordered_set<FileKey, FileKeyHash>& keys) {
  Finder finder(&keys);
  repo::walk_folder(from, finder);
  std::set<std::string> folders;  // and all above them
  for (const auto& [folder, names] : finder.found()) {
    move_names(open_below(from, folder, false).get(), open_below(to, folder, true).get(), names);
    for (std::string path = folder; folders.insert(path).second && !path.empty();) {
      path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
    }
  }
  // Only now, the inner ones first: moving changes the time and may need the mode that a folder was made
  // with.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    copy_look(open_below(from, *folder, false).get(), open_below(to, *folder, false).get());
  }
}

void move_back(int from, int to) {
  Finder finder(nullptr);
  repo::walk_folder(from, finder);
  for (const auto& [folder, names] : finder.found()) {
    const UniqueFd target = open_below(to, folder, false);
    struct stat status {};
    if (::fstat(target.get(), &status) != 0) throw system_error(kCannotMove, errno);
    move_names(open_below(from, folder, false).get(), target.get(), names);
    restore_times(target.get(), status);
  }
}

}  // namespace restic::fs
