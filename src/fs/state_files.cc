// SPDX-License-Identifier: MIT
#include "fs/state_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <system_error>

namespace restic::fs {
namespace {

constexpr unsigned kMaxOpenDepth = 64;  // folders held open at once while a tree is removed

struct CloseDir {
  void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};
using DirStream = std::unique_ptr<DIR, CloseDir>;

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

// A stream of its own position, so that `folder` itself is not moved.
DirStream open_stream(int folder) {
  UniqueFd fd(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw system_error("cannot read a folder in the state folder", errno);
  DirStream stream(::fdopendir(fd.get()));
  if (!stream) throw system_error("cannot read a folder in the state folder", errno);
  (void)fd.release();
  return stream;
}

const dirent* next_entry(DIR* stream) {
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (entry == nullptr && errno != 0) throw system_error("cannot read a folder in the state folder", errno);
    if (entry == nullptr || !is_dot(entry->d_name)) return entry;
  }
}

void write_all(int fd, ByteView content, const std::string& name) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error("cannot write " + name + " in the state folder", errno);
    content = content.subspan(static_cast<std::size_t>(written));
  }
}

// Empties folders below one top folder. What lies too deep is moved up to the top first, so that any depth
// can be removed with few descriptors.
class TreeRemover {
 public:
  explicit TreeRemover(int top) : top_(top) {}

  void empty(int folder, unsigned depth) {
    DirStream stream = open_stream(folder);
    while (const dirent* entry = next_entry(stream.get())) remove(folder, entry->d_name, depth);
  }
  bool moved_any() {
    const bool moved = moved_ > 0;
    moved_ = 0;
    return moved;
  }

 private:
  void remove(int folder, const char* name, unsigned depth) {
    if (::unlinkat(folder, name, 0) == 0) return;
    if (errno != EISDIR && errno != EPERM)
      throw system_error("cannot remove what a drop left in the state folder", errno);
    // Without read, write and search permission even its owner cannot empty a folder.
    UniqueFd child(::openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child) throw system_error("cannot remove what a drop left in the state folder", errno);
    const std::string itself = "/proc/self/fd/" + std::to_string(child.get());
    if (::chmod(itself.c_str(), 0700) != 0)
      throw system_error("cannot remove what a drop left in the state folder", errno);
    if (depth < kMaxOpenDepth) {
      empty(child.get(), depth + 1);
      if (::unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY) {
        throw system_error("cannot remove what a drop left in the state folder", errno);
      }
      return;
    }
    const std::string higher = ".deep-" + std::to_string(++count_);
    if (::renameat(folder, name, top_, higher.c_str()) != 0) {
      throw system_error("cannot remove what a drop left in the state folder", errno);
    }
    ++moved_;
  }

  int top_;
  std::uint64_t count_ = 0;
  std::uint64_t moved_ = 0;
};

}  // namespace

Error system_error(const std::string& what, int error) {
  Errc code = Errc::Io;
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      code = Errc::Full;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = Errc::Denied;
      break;
    case ENOENT:
      code = Errc::NotFound;
      break;
    default:
      break;
  }
  return {code, what + ": " + std::generic_category().message(error)};
}

UniqueFd open_folder(int parent, const std::string& name) {
  UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) throw system_error("cannot open the folder " + name + " in the state folder", errno);
  return fd;
}

void make_folder(int parent, const std::string& name, unsigned mode) {
  if (::mkdirat(parent, name.c_str(), mode) != 0) {
    throw system_error("cannot make the folder " + name + " in the state folder", errno);
  }
}

void sync_folder(int folder) {
  if (::fsync(folder) != 0) throw system_error("cannot sync the state folder", errno);
}

void sync_disk(int folder) {
  if (::syncfs(folder) != 0) throw system_error("cannot write the state folder to the disk", errno);
}

void rename_in(int folder, const std::string& from, const std::string& to) {
  if (::renameat(folder, from.c_str(), folder, to.c_str()) != 0) {
    throw system_error("cannot rename " + from + " to " + to + " in the state folder", errno);
  }
}

std::vector<std::string> list_folder(int folder, std::size_t limit) {
  std::vector<std::string> names;
  const DirStream stream = open_stream(folder);
  while (const dirent* entry = next_entry(stream.get())) {
    if (names.size() == limit) throw Error(Errc::Io, "a folder in the state folder has too many entries");
    names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool holds_nothing(int folder) {
  const DirStream stream = open_stream(folder);
  while (const dirent* entry = next_entry(stream.get())) {
    struct stat status {};
    const bool vanished = ::fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0;
    if (!vanished && !S_ISSOCK(status.st_mode)) return false;
  }
  return true;
}

void replace_file(int folder, const std::string& name, ByteView content) {
  const std::string temporary = name + ".part";
  UniqueFd fd(
      ::openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) throw system_error("cannot write " + name + " in the state folder", errno);
  write_all(fd.get(), content, name);
  if (::fsync(fd.get()) != 0) throw system_error("cannot sync " + name + " in the state folder", errno);
  rename_in(folder, temporary, name);
  sync_folder(folder);
}

std::optional<Bytes> read_file(int folder, const std::string& name, std::size_t limit) {
  const UniqueFd fd(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) throw system_error("cannot read " + name + " in the state folder", errno);
  Bytes content;
  for (;;) {
    const std::size_t have = content.size();
    if (have > limit) throw Error(Errc::Damaged, name + " in the state folder is too long");
    content.resize(have + 16384);
    const ssize_t got = ::read(fd.get(), content.data() + have, 16384);
    content.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return content;
    if (got < 0 && errno != EINTR) throw system_error("cannot read " + name + " in the state folder", errno);
  }
}

void remove_file(int folder, const std::string& name) {
  if (::unlinkat(folder, name.c_str(), 0) != 0 && errno != ENOENT) {
    throw system_error("cannot remove " + name + " in the state folder", errno);
  }
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  std::erase_if(id, [](unsigned char letter) { return std::isalnum(letter) == 0; });
  return id.empty() ? "unknown" : id;
}

void remove_tree(int parent, const std::string& name) {
  const UniqueFd top = open_folder(parent, name);
  TreeRemover remover(top.get());
  do {
    remover.empty(top.get(), 0);
  } while (remover.moved_any());
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
    throw system_error("cannot remove what a drop left in the state folder", errno);
  }
}

}  // namespace restic::fs
