// SPDX-License-Identifier: MIT
#include "transport/local_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "base/unique_fd.h"
#include "transport/file_names.h"

namespace restic::transport {
namespace {

// A regular file opened for reading and its size. O_NONBLOCK: a fifo in the repository must not hang us.
struct OpenFile {
  UniqueFd fd;
  std::uint64_t size;
};

OpenFile open_for_reading(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) throw system_error(errno, "open " + path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw system_error(errno, "open " + path);
  if (!S_ISREG(info.st_mode)) throw Error(Errc::Damaged, path + " is not a regular file");
  return {std::move(fd), static_cast<std::uint64_t>(info.st_size)};
}

// What is read at once for somebody who works on it meanwhile: as much as stays in a processor's cache.
constexpr std::size_t kPart = 128U << 10U;

Bytes read_exactly(const OpenFile& file, const std::string& path, ByteRange range,
                   const OnArriving& arriving = nullptr) {
  Bytes bytes(static_cast<std::size_t>(range.length));
  std::size_t done = 0;
  if (arriving) arriving(bytes, 0);
  while (done < bytes.size()) {
    const std::size_t wanted = arriving ? std::min(kPart, bytes.size() - done) : bytes.size() - done;
    const ssize_t got =
        ::pread(file.fd.get(), bytes.data() + done, wanted, static_cast<off_t>(range.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error(errno, "read " + path);
    if (got == 0) throw Error(Errc::Damaged, path + " became shorter while it was read");
    done += static_cast<std::size_t>(got);
    if (arriving) arriving(bytes, done);
  }
  return bytes;
}

void write_all(int fd, const std::string& path, ByteView content) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw system_error(errno, "write " + path);
    content = content.subspan(static_cast<std::size_t>(wrote));
  }
}

std::string random_suffix() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) throw system_error(errno, "get random bytes");
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(number));
  return digits.data();
}

// A temporary file that is removed again unless it got its final name.
class TemporaryFile {
 public:
  TemporaryFile(std::string path, mode_t mode)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)) {
    if (!fd_) throw system_error(errno, "create " + path_);
  }
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }

  void rename_to(const std::string& final_path, bool replace) {
    // close() reports what NFS found out late.
    if (::close(fd_.release()) != 0) throw system_error(errno, "write " + path_);
    // link() fails where the name is taken, without a moment in between; some file systems have no links.
    if (!replace) {
      if (::link(path_.c_str(), final_path.c_str()) == 0) return;
      if (errno == EEXIST || file_exists(final_path))
        throw Error(Errc::Usage, final_path + " exists already");
    }
    if (::rename(path_.c_str(), final_path.c_str()) != 0) throw system_error(errno, "create " + final_path);
    path_.clear();
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace

Error system_error(int code, const std::string& what) {
  const std::string message = "cannot " + what + ": " + std::generic_category().message(code);
  switch (code) {
    case ENOENT:
      return {Errc::NotFound, message};
    case EACCES:
    case EPERM:
    case EROFS:
      return {Errc::Denied, message};
    case ENOSPC:
    case EDQUOT:
      return {Errc::Full, message};
    case ETIMEDOUT:
      return {Errc::Timeout, message};
    case ESTALE:
    case ENOTCONN:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENODEV:
    case EMFILE:
    case ENFILE:
      return {Errc::Unavailable, message};
    default:
      return {Errc::Io, message};
  }
}

Bytes read_file(const std::string& path, std::uint64_t limit) {
  const OpenFile file = open_for_reading(path);
  if (file.size > limit) {
    throw Error(Errc::Damaged, path + " has " + std::to_string(file.size) + " bytes, more than the " +
                                   std::to_string(limit) + " it may have");
  }
  return read_exactly(file, path, {0, file.size});
}

Bytes read_file_range(const std::string& path, ByteRange range, const OnArriving& arriving) {
  const OpenFile file = open_for_reading(path);
  if (range.offset > file.size || range.length > file.size - range.offset) {
    throw Error(Errc::Damaged, path + " ends at " + std::to_string(file.size) + ", before the end of the " +
                                   std::to_string(range.length) + " bytes at " +
                                   std::to_string(range.offset));
  }
  return read_exactly(file, path, range, arriving);
}

void write_file(const NewFile& file, const Content& content) {
  const std::string final_path = file.folder + "/" + file.name;
  if (!file.replace && file_exists(final_path)) throw Error(Errc::Usage, final_path + " exists already");
  TemporaryFile temporary(final_path + "-tmp-" + random_suffix(), file.mode);
  // Only a hint that keeps the file in one piece; file systems without it still write.
  if (content.size() != 0) (void)::fallocate(temporary.fd(), 0, 0, static_cast<off_t>(content.size()));
  const std::unique_ptr<Content::Reader> reader = content.read();
  std::uint64_t written = 0;
  for (ByteView piece = reader->next(SIZE_MAX); !piece.empty(); piece = reader->next(SIZE_MAX)) {
    write_all(temporary.fd(), temporary.path(), piece);
    written += piece.size();
  }
  if (written != content.size())
    throw Error(Errc::Io, "what is to be saved as " + final_path + " ends too early");
  if (::fsync(temporary.fd()) != 0) throw system_error(errno, "sync " + temporary.path());
  temporary.rename_to(final_path, file.replace);
  sync_folder(file.folder);
  (void)::chmod(final_path.c_str(), file.final_mode);
}

std::vector<FileInfo> list_files(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir && errno == ENOENT) return {};
  if (!dir) throw system_error(errno, "list " + folder);
  std::vector<FileInfo> files;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (entry == nullptr) break;
    if (!is_storage_name(entry->d_name)) continue;
    struct stat info {};
    if (::fstatat(::dirfd(dir.get()), entry->d_name, &info, 0) != 0) {
      // Another client removed it since. Any other failure must not look like a file that is not there.
      if (errno == ENOENT) continue;
      throw system_error(errno, "list " + folder + "/" + entry->d_name);
    }
    if (!S_ISREG(info.st_mode)) continue;
    files.push_back({entry->d_name, static_cast<std::uint64_t>(info.st_size)});
  }
  if (errno != 0) throw system_error(errno, "list " + folder);
  return files;
}

void make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    throw system_error(errno, "create the folder " + path);
}

void sync_folder(const std::string& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw system_error(errno, "open " + folder);
  // File systems that cannot sync a folder say EINVAL or ENOTSUP.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    throw system_error(errno, "sync " + folder);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0) throw system_error(errno, "remove " + path);
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace restic::transport
