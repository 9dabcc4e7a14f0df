// SPDX-License-Identifier: MIT
#include "repo/pack_spool.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace restic::repo {
namespace {

constexpr std::size_t kPiece = 64U << 10U;

Error unreadable(const Id& name, const std::string& why) {
  return {Errc::Damaged, "pack " + name.short_hex() +
                             " could not be read back from the state folder before it was uploaded (" + why +
                             "): the disk may be faulty"};
}

class SpoolReader final : public transport::Content::Reader {
 public:
  SpoolReader(int file, std::uint64_t size, const Id& name) : file_(file), size_(size), name_(name) {
    hasher_.start();
  }

  ByteView next(std::size_t most) override {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>({most, kPiece, size_ - offset_}));
    if (wanted == 0) return {};
    buffer_.resize(kPiece);
    ssize_t got = 0;
    do {
      got = ::pread(file_, buffer_.data(), wanted, static_cast<off_t>(offset_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw unreadable(name_, std::generic_category().message(errno));
    if (got == 0) throw unreadable(name_, "it ends too early");
    const ByteView piece(buffer_.data(), static_cast<std::size_t>(got));
    hasher_.add(piece);
    offset_ += piece.size();
    if (offset_ == size_ && hasher_.finish() != name_) throw unreadable(name_, "it has changed");
    return piece;
  }

 private:
  const int file_;
  const std::uint64_t size_;
  const Id name_;
  std::uint64_t offset_ = 0;
  IdHasher hasher_;
  Bytes buffer_;
};

bool write_at_start(int file, ByteView bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ByteView rest = bytes.subspan(done);
    const ssize_t wrote = ::pwrite(file, rest.data(), rest.size(), static_cast<off_t>(done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

}  // namespace

// What is used of the spool's bytes, and its files.
class PackSpool::Room {
 public:
  [[nodiscard]] bool take(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (used_ + bytes > kMost) return false;
    used_ += bytes;
    return true;
  }

  // One that was used before, if there is any: to write it over is cheaper than a new one.
  UniqueFd take_file() {
    const std::lock_guard lock(mutex_);
    if (unused_.empty()) return {};
    UniqueFd file = std::move(unused_.back());
    unused_.pop_back();
    return file;
  }

  // And the file that was there, if any. Files are kept as long as others are in use.
  void give_back(std::uint64_t bytes, UniqueFd file) noexcept {
    std::vector<UniqueFd> closed;
    const std::lock_guard lock(mutex_);
    used_ -= bytes;
    if (used_ == 0) return closed.swap(unused_);
    if (!file) return;
    try {
      unused_.push_back(std::move(file));
    } catch (const std::exception&) {  // then it is closed
    }
  }

 private:
  std::mutex mutex_;
  std::uint64_t used_ = 0;  // bytes; guarded by mutex_, like the files
  std::vector<UniqueFd> unused_;
};

class PackSpool::SpooledPack final : public transport::Content {
 public:
  // Takes over `size` bytes of the room.
  SpooledPack(std::shared_ptr<Room> room, UniqueFd file, std::uint64_t size, const Id& name)
      : room_(std::move(room)), file_(std::move(file)), size_(size), name_(name) {}
  ~SpooledPack() override { room_->give_back(size_, std::move(file_)); }
  SpooledPack(const SpooledPack&) = delete;
  SpooledPack& operator=(const SpooledPack&) = delete;

  std::uint64_t size() const override { return size_; }
  std::unique_ptr<Reader> read() const override {
    return std::make_unique<SpoolReader>(file_.get(), size_, name_);
  }

 private:
  const std::shared_ptr<Room> room_;
  UniqueFd file_;
  const std::uint64_t size_;
  const Id name_;
};

PackSpool::PackSpool(int folder, Log& log)
    : folder_(folder), log_(log), room_(std::make_shared<Room>()), works_(folder >= 0) {}

PackSpool::~PackSpool() {
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
}

void PackSpool::put(SharedBytes pack, const Id& name, const Ready& ready) {
  const std::uint64_t size = pack->size();
  if (!works_ || !disk_has_room() || !room_->take(size)) return ready(nullptr, std::move(pack));
  try {
    const std::lock_guard lock(mutex_);
    if (!writer_.joinable()) writer_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    jobs_.push_back({pack, name, ready});
  } catch (const std::exception&) {
    room_->give_back(size, {});
    return ready(nullptr, std::move(pack));
  }
  changed_.notify_one();
}

// Also for all that is not yet written.
bool PackSpool::disk_has_room() const {
  struct statvfs disk {};
  return ::fstatvfs(folder_, &disk) == 0 && disk.f_bavail * disk.f_frsize >= kLeftFree + kMost;
}

void PackSpool::run(const std::stop_token& stop) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !jobs_.empty(); })) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    transport::SharedContent on_disk = write(*job.pack, job.name);
    if (on_disk) job.pack.reset();
    job.ready(std::move(on_disk), std::move(job.pack));
  }
}

// Null, and the room given back, when it cannot be written.
transport::SharedContent PackSpool::write(const Bytes& pack, const Id& name) noexcept {
  const std::uint64_t size = pack.size();
  try {
    UniqueFd file = room_->take_file();
    const bool used_before = static_cast<bool>(file);
    if (!file) file = UniqueFd(::openat(folder_, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
    if (file && write_at_start(file.get(), pack) &&
        (!used_before || ::ftruncate(file.get(), static_cast<off_t>(size)) == 0)) {
      return std::make_shared<SpooledPack>(room_, std::move(file), size, name);
    }
    const int error = errno;
    log_.debug("a pack waits in memory, for the state folder does not take it: " +
               std::generic_category().message(error));
    if (!file && (error == EOPNOTSUPP || error == EISDIR)) works_ = false;
  } catch (const std::exception& problem) {
    log_.debug(problem.what());
  }
  room_->give_back(size, {});
  return nullptr;
}

}  // namespace restic::repo
