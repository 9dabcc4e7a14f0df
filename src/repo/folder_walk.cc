// SPDX-License-Identifier: MIT
#include "repo/folder_walk.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::repo {
namespace {

// Above so many open folders the outer ones are closed and found again through "..".
constexpr std::size_t kOpenFolders = 32;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The names in a folder, sorted; nullopt with errno set when they cannot be had.
std::optional<std::vector<std::string>> list_names(int fd) {
  UniqueFd own(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) return std::nullopt;
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(own.get()));
  if (!directory) return std::nullopt;
  own.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());  // NOLINT(concurrency-mt-unsafe): a stream of our own
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return std::nullopt;
  std::ranges::sort(names);
  return names;
}

class Walk {
 public:
  Walk(int folder_fd, FolderVisitor& visitor) : root_fd_(folder_fd), visitor_(visitor) {}

  void run() {
    push(UniqueFd(), 0);
    while (!frames_.empty()) {
      Frame& top = frames_.back();
      if (top.next == top.names.size()) {
        pop();
      } else {
        step(top.names[top.next++]);
      }
    }
  }

 private:
  struct Frame {
    UniqueFd fd;  // closed where the stack is deep; the start is the caller's
    struct stat facts {};
    std::vector<std::string> names;
    std::size_t next = 0;
    std::size_t path_size = 0;
  };

  int fd_of(const Frame& frame) const { return &frame == &frames_.front() ? root_fd_ : frame.fd.get(); }

  void push(UniqueFd fd, std::size_t outer_path_size) {
    Frame frame;
    frame.fd = std::move(fd);
    frame.path_size = outer_path_size;
    frames_.push_back(std::move(frame));
    Frame& top = frames_.back();
    if (::fstat(fd_of(top), &top.facts) != 0) return visitor_.unreadable(path_, errno);
    std::optional<std::vector<std::string>> names = list_names(fd_of(top));
    if (!names) return visitor_.unreadable(path_, errno);
    top.names = std::move(*names);
    if (frames_.size() > kOpenFolders) frames_[frames_.size() - kOpenFolders].fd.reset();
  }

  void step(const std::string& name) {
    const int folder_fd = fd_of(frames_.back());
    const std::size_t outer = path_.size();
    if (!path_.empty()) path_ += '/';
    path_ += name;
    struct stat facts {};
    if (::fstatat(folder_fd, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      visitor_.unreadable(path_, errno);
    } else if (!S_ISDIR(facts.st_mode)) {
      visitor_.visit(folder_fd, name, facts, path_);
    } else {
      UniqueFd fd(::openat(folder_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (fd) {
        if (visitor_.enter_folder(fd.get(), name, path_)) return push(std::move(fd), outer);
      } else {
        visitor_.unreadable(path_, errno);
      }
    }
    path_.resize(outer);
  }

  void pop() {
    const UniqueFd inner = std::move(frames_.back().fd);
    path_.resize(frames_.back().path_size);
    frames_.pop_back();
    if (frames_.empty()) return;
    visitor_.leave_folder();
    Frame& outer = frames_.back();
    if (fd_of(outer) < 0) reopen(outer, inner.get());
  }

  void reopen(Frame& outer, int inner_fd) {
    outer.fd.reset(::openat(inner_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat facts {};
    if (!outer.fd || ::fstat(outer.fd.get(), &facts) != 0 || facts.st_ino != outer.facts.st_ino ||
        facts.st_dev != outer.facts.st_dev) {
      throw Error(Errc::Io, "the folder above " + path_ + " is not where it was");
    }
  }

  const int root_fd_;
  FolderVisitor& visitor_;
  std::vector<Frame> frames_;
  std::string path_;
};

}  // namespace

void walk_folder(int folder_fd, FolderVisitor& visitor) { Walk(folder_fd, visitor).run(); }

}  // namespace restic::repo
