// SPDX-License-Identifier: MIT
// Random operations on one file, checked against a plain model of what a file is: `fsx FILE OPERATIONS SEED`.
// Every byte that any operation returns is compared. Exit status 0: the file behaved; 1: it did not, and the
// last operations are printed; 2: wrong usage.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kLargestFile = 256U << 10U;
constexpr std::size_t kLargestOperation = 64U << 10U;
constexpr std::size_t kRemembered = 40;

class Exerciser {
 public:
  Exerciser(std::string path, std::uint64_t seed) : path_(std::move(path)), random_(seed) { reopen(true); }
  ~Exerciser() { ::close(fd_); }
  Exerciser(const Exerciser&) = delete;
  Exerciser& operator=(const Exerciser&) = delete;

  void step() {
    switch (below(12)) {
      case 0:
      case 1:
        return write();
      case 2:
      case 3:
        return read();
      case 4:
        return write_mapped();
      case 5:
        return read_mapped();
      case 6:
        return resize();
      case 7:
        return punch();
      case 8:
        return allocate();
      case 9:
        return copy();
      case 10:
        return append();
      default:
        return sync_or_reopen();
    }
  }
  void check_all() {
    note("check all", 0, model_.size());
    expect_size();
    std::vector<std::uint8_t> content(model_.size());
    read_exactly(content, 0);
    compare(content.data(), 0, content.size());
  }

 private:
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  void note(const char* operation, std::size_t offset, std::size_t length) {
    recent_.push_back(std::to_string(++count_) + ": " + operation + " offset " + std::to_string(offset) +
                      " length " + std::to_string(length) + " of " + std::to_string(model_.size()));
    if (recent_.size() > kRemembered) recent_.pop_front();
  }
  [[noreturn]] void fail(const std::string& what) const {
    for (const std::string& line : recent_) std::fprintf(stderr, "%s\n", line.c_str());
    std::fprintf(stderr, "fsx: %s\n", what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): there is one thread
  }
  void require(bool good, const char* call) const {
    if (!good) fail(std::string(call) + ": " + std::to_string(errno));
  }
  void expect_size() const {
    struct stat status {};
    require(::fstat(fd_, &status) == 0, "fstat");
    if (static_cast<std::size_t>(status.st_size) != model_.size()) {
      fail("the size is " + std::to_string(status.st_size) + ", not " + std::to_string(model_.size()));
    }
  }
  void compare(const std::uint8_t* content, std::size_t offset, std::size_t length) const {
    for (std::size_t i = 0; i < length; ++i) {
      if (content[i] != model_[offset + i]) {
        fail("byte " + std::to_string(offset + i) + " is " + std::to_string(content[i]) + ", not " +
             std::to_string(model_[offset + i]));
      }
    }
  }
  void read_exactly(std::vector<std::uint8_t>& content, std::size_t offset) const {
    const ssize_t got = ::pread(fd_, content.data(), content.size(), static_cast<off_t>(offset));
    require(got >= 0, "pread");
    if (static_cast<std::size_t>(got) != content.size()) fail("a short read: " + std::to_string(got));
  }

  // A range to write to; it may end behind the end of the file.
  void choose_anywhere(std::size_t& offset, std::size_t& length) {
    offset = below(kLargestFile - 1);
    length = 1 + below(std::min(kLargestOperation, kLargestFile - offset));
  }
  // A range within the file; false: it is empty.
  bool choose_inside(std::size_t& offset, std::size_t& length) {
    if (model_.empty()) return false;
    offset = below(model_.size());
    length = 1 + below(std::min(kLargestOperation, model_.size() - offset));
    return true;
  }
  std::vector<std::uint8_t> new_content(std::size_t length) {
    std::vector<std::uint8_t> content(length);
    const auto start = static_cast<std::uint8_t>(below(256));
    for (std::size_t i = 0; i < length; ++i)
      content[i] = static_cast<std::uint8_t>(start + i * 7 + (i >> 8U));
    return content;
  }
  void remember(const std::vector<std::uint8_t>& content, std::size_t offset) {
    if (model_.size() < offset + content.size()) model_.resize(offset + content.size());
    std::copy(content.begin(), content.end(), model_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  void write() {
    std::size_t offset = 0;
    std::size_t length = 0;
    choose_anywhere(offset, length);
    note("write", offset, length);
    const auto content = new_content(length);
    const ssize_t written = ::pwrite(fd_, content.data(), length, static_cast<off_t>(offset));
    require(written == static_cast<ssize_t>(length), "pwrite");
    remember(content, offset);
    expect_size();
  }
  void append() {
    if (model_.size() >= kLargestFile) return;
    const std::size_t length = 1 + below(std::min(kLargestOperation, kLargestFile - model_.size()));
    note("append", model_.size(), length);
    const int appender = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    require(appender >= 0, "open");
    const auto content = new_content(length);
    require(::write(appender, content.data(), length) == static_cast<ssize_t>(length), "write");
    ::close(appender);
    remember(content, model_.size());
    expect_size();
  }
  void read() {
    std::size_t offset = 0;
    std::size_t length = 0;
    if (!choose_inside(offset, length)) return;
    note("read", offset, length);
    std::vector<std::uint8_t> content(length);
    read_exactly(content, offset);
    compare(content.data(), offset, length);
  }
  template <class Use>
  void with_map(std::size_t offset, std::size_t length, int protection, const Use& use) {
    const std::size_t page = offset & ~std::size_t{4095};
    void* const map =
        ::mmap(nullptr, length + offset - page, protection, MAP_SHARED, fd_, static_cast<off_t>(page));
    require(map != MAP_FAILED, "mmap");
    use(static_cast<std::uint8_t*>(map) + (offset - page));
    if (below(100) == 0) require(::msync(map, length + offset - page, MS_SYNC) == 0, "msync");
    require(::munmap(map, length + offset - page) == 0, "munmap");
  }
  void write_mapped() {
    std::size_t offset = 0;
    std::size_t length = 0;
    if (!choose_inside(offset, length)) return;
    note("write mapped", offset, length);
    const auto content = new_content(length);
    with_map(offset, length, PROT_READ | PROT_WRITE,
             [&](std::uint8_t* at) { std::memcpy(at, content.data(), length); });
    remember(content, offset);
    expect_size();
  }
  void read_mapped() {
    std::size_t offset = 0;
    std::size_t length = 0;
    if (!choose_inside(offset, length)) return;
    note("read mapped", offset, length);
    with_map(offset, length, PROT_READ, [&](const std::uint8_t* at) { compare(at, offset, length); });
  }
  void resize() {
    const std::size_t size = below(kLargestFile);
    const bool by_path = below(2) == 0;
    note(by_path ? "truncate" : "ftruncate", size, 0);
    const int result = by_path ? ::truncate(path_.c_str(), static_cast<off_t>(size))
                               : ::ftruncate(fd_, static_cast<off_t>(size));
    require(result == 0, "truncate");
    model_.resize(size);
    expect_size();
  }
  void punch() {
    std::size_t offset = 0;
    std::size_t length = 0;
    if (!choose_inside(offset, length)) return;
    note("punch", offset, length);
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    require(::fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0, "fallocate");
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::uint8_t{0});
    expect_size();
  }
  void allocate() {
    std::size_t offset = 0;
    std::size_t length = 0;
    choose_anywhere(offset, length);
    const bool keep = below(2) == 0;
    note(keep ? "allocate, size kept" : "allocate", offset, length);
    const int mode = keep ? FALLOC_FL_KEEP_SIZE : 0;
    require(::fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0, "fallocate");
    if (!keep) model_.resize(std::max(model_.size(), offset + length));
    expect_size();
  }
  void copy() {
    std::size_t from = 0;
    std::size_t length = 0;
    if (!choose_inside(from, length)) return;
    std::size_t to = below(kLargestFile - length + 1);
    if (from < to + length && to < from + length) return;  // overlapping ranges are an error by definition
    note("copy from", from, length);
    note("copy to", to, length);
    const std::vector<std::uint8_t> content(model_.begin() + static_cast<std::ptrdiff_t>(from),
                                            model_.begin() + static_cast<std::ptrdiff_t>(from + length));
    remember(content, to);
    auto source = static_cast<off_t>(from);
    auto target = static_cast<off_t>(to);
    while (length > 0) {
      const ssize_t copied = ::copy_file_range(fd_, &source, fd_, &target, length, 0);
      require(copied > 0, "copy_file_range");
      length -= static_cast<std::size_t>(copied);
    }
    expect_size();
  }
  void sync_or_reopen() {
    note("sync or reopen", 0, 0);
    if (below(100) == 0) {  // seldom: it measures the disk, not the file system
      require(::fsync(fd_) == 0, "fsync");
    } else {
      reopen(false);
    }
  }
  void reopen(bool fresh) {
    if (fd_ >= 0) require(::close(fd_) == 0, "close");
    fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0), 0600);
    require(fd_ >= 0, "open");
    expect_size();
  }

  const std::string path_;
  std::mt19937_64 random_;
  int fd_ = -1;
  std::vector<std::uint8_t> model_;
  std::uint64_t count_ = 0;
  std::deque<std::string> recent_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Exerciser exerciser(argv[1], std::strtoull(argv[3], nullptr, 10));
  const std::uint64_t operations = std::strtoull(argv[2], nullptr, 10);
  for (std::uint64_t done = 0; done < operations; ++done) exerciser.step();
  exerciser.check_all();
  return 0;
}
