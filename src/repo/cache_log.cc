// SPDX-License-Identifier: MIT
#include "repo/cache_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace restic::repo {

namespace {

constexpr std::array<char, 8> kMagic = {'m', '.', 'r', 'e', 's', 't', 'i', 'c'};
constexpr std::uint32_t kVersion = 1;  // also when what is stored in the records changes
constexpr std::uint32_t kByteOrder = 0x01020304;

// The beginning of the file. `check` is keyed: another key, repository or store does not match it.
struct FileHeader {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t byte_order = kByteOrder;
  std::uint64_t check = 0;
};

template <class T>
ByteView bytes_of(const T& object, std::size_t size = sizeof(T)) {
  return {reinterpret_cast<const std::uint8_t*>(&object), size};
}

bool read_all(int file, std::span<std::uint8_t> out, std::uint64_t offset) {
  while (!out.empty()) {
    const ssize_t got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

bool write_all(int file, ByteView bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return true;
}

std::string system_message() { return std::system_category().message(errno); }

// A regular file of our own and its size: anybody else's is none of our business.
std::optional<std::uint64_t> own_file_size(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid())
    return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

// Reads a file front to back in pieces, skipping over what is not asked for.
class Window {
 public:
  Window(int file, std::uint64_t size) : file_(file), size_(size) {}

  bool read(std::uint64_t offset, std::span<std::uint8_t> out) {
    if (offset + out.size() > size_) return false;
    if (offset < begin_ || offset + out.size() > begin_ + held_.size()) {
      held_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kSize, size_ - offset)));
      begin_ = offset;
      if (!read_all(file_, held_, offset)) {
        held_.clear();
        return false;
      }
    }
    std::memcpy(out.data(), held_.data() + (offset - begin_), out.size());
    return true;
  }

 private:
  static constexpr std::uint64_t kSize = 64U << 10U;
  int file_;
  std::uint64_t size_;
  std::uint64_t begin_ = 0;
  Bytes held_;
};

}  // namespace

struct CacheLog::RecordHeader {
  LocalSeal::Token token;
  std::uint32_t sealed_size, plain_size;
  std::uint64_t check;  // of the rest
};

void CacheWarnings::report(const std::string& message) {
  const bool first = !warned_.exchange(true);
  log_.write(first ? LogLevel::Warning : LogLevel::Debug, message);
}

std::size_t CacheLog::TokenHash::operator()(const LocalSeal::Token& token) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, token.data(), sizeof value);
  return value;
}

CacheLog::CacheLog(int folder, std::string name, LocalSeal seal, std::uint64_t budget,
                   std::shared_ptr<CacheWarnings> warnings)
    : folder_(folder),
      name_(std::move(name)),
      seal_(std::move(seal)),
      budget_(budget),
      warnings_(std::move(warnings)) {
  if (folder_ < 0) return;
  try {
    open();
  } catch (const std::exception& failure) {  // no memory for the places
    places_.clear();
    stop_writing(describe(std::string("is not used: ") + failure.what()));
  }
}

CacheLog::~CacheLog() = default;

void CacheLog::open() {
  writable_ = lock();
  // What a crash left of a rewrite takes up room that nobody counts.
  if (writable_) ::unlinkat(folder_, temporary_name().c_str(), 0);
  if (open_existing()) {
    if (end_ > budget_) rewrite(budget_ - budget_ / 4);  // the budget was larger when it was written
    return;
  }
  if (!writable_) return;
  UniqueFd fresh = create_file(name_ + ".log");
  if (!fresh) return stop_writing(describe("cannot be written: " + system_message()));
  file_ = std::make_shared<UniqueFd>(std::move(fresh));
  end_ = sizeof(FileHeader);
}

bool CacheLog::lock() {
  lock_.reset(::openat(folder_, (name_ + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) {
    warnings_->report(describe("cannot be written: " + system_message()));
    return false;
  }
  return ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0;
}

bool CacheLog::open_existing() {
  const int access = writable_ ? O_RDWR : O_RDONLY;
  UniqueFd file(::openat(folder_, (name_ + ".log").c_str(), access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && errno == ENOENT) return false;
  const std::optional<std::uint64_t> size = file ? own_file_size(file.get()) : std::nullopt;
  FileHeader header;
  if (!size || *size < sizeof header ||
      !read_all(file.get(), {reinterpret_cast<std::uint8_t*>(&header), sizeof header}, 0) ||
      header.magic != kMagic || header.version != kVersion || header.byte_order != kByteOrder ||
      header.check != file_check()) {
    warnings_->report(describe("is damaged, or of another version or repository; it is not used"));
    return false;
  }
  scan(file.get(), *size);
  if (end_ != *size) {
    // A writer that is at work right now looks the same to a reader.
    if (writable_) warnings_->report(describe("was damaged; the records after the damage are dropped"));
    if (writable_ && ::ftruncate(file.get(), static_cast<off_t>(end_)) != 0) {
      stop_writing(describe("cannot be repaired: " + system_message()));
    }
  }
  file_ = std::make_shared<UniqueFd>(std::move(file));
  return true;
}

// An empty log under that name, which whatever was there before makes room for.
UniqueFd CacheLog::create_file(const std::string& name) {
  const std::string temporary = temporary_name();  // only the holder of the lock makes one
  UniqueFd file(
      ::openat(folder_, temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  FileHeader header;
  header.check = file_check();
  if (!file || !write_all(file.get(), bytes_of(header), 0)) return {};
  if (name != temporary && ::renameat(folder_, temporary.c_str(), folder_, name.c_str()) != 0) return {};
  return file;
}

std::uint64_t CacheLog::file_check() const {
  const FileHeader header;
  return seal_.check(bytes_of(header, offsetof(FileHeader, check)));
}

void CacheLog::scan(int file, std::uint64_t size) {
  Window window(file, size);
  end_ = sizeof(FileHeader);
  RecordHeader header;
  while (window.read(end_, {reinterpret_cast<std::uint8_t*>(&header), sizeof header}) && plausible(header)) {
    const std::uint64_t offset = end_ + sizeof header;
    if (header.sealed_size > size - offset) return;
    const auto [place, added] =
        places_.insert_or_assign(header.token, Place{.offset = offset,
                                                     .sealed_size = header.sealed_size,
                                                     .plain_size = header.plain_size,
                                                     .last_used = 0});
    if (added) live_bytes_ += sizeof header + header.sealed_size;
    end_ = offset + header.sealed_size;
  }
}

CacheLog::RecordHeader CacheLog::make_header(const LocalSeal::Token& token, std::uint64_t sealed_size,
                                             std::uint64_t plain_size) const {
  RecordHeader header{.token = token,
                      .sealed_size = static_cast<std::uint32_t>(sealed_size),
                      .plain_size = static_cast<std::uint32_t>(plain_size),
                      .check = 0};
  header.check = seal_.check(bytes_of(header, offsetof(RecordHeader, check)));
  return header;
}

bool CacheLog::plausible(const RecordHeader& header) const {
  return header.check == seal_.check(bytes_of(header, offsetof(RecordHeader, check))) &&
         header.plain_size <= LocalSeal::kMostPlain && header.sealed_size >= LocalSeal::kOverhead &&
         header.sealed_size <= header.plain_size + LocalSeal::kOverhead;
}

bool CacheLog::contains(const Id& id) const {
  const LocalSeal::Token token = seal_.token(id);
  std::lock_guard lock(mutex_);
  return places_.contains(token);
}

std::optional<Bytes> CacheLog::get(const LocalSeal::Token& token) {
  Place place{};
  std::shared_ptr<UniqueFd> file;
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(token);
    if (found == places_.end()) return std::nullopt;
    found->second.last_used = ++clock_;
    place = found->second;
    file = file_;
  }
  try {
    if (std::optional<Bytes> plain = read(token, place, *file)) return plain;
  } catch (const Error& failure) {
    warnings_->report(describe(std::string("cannot be read: ") + failure.what()));
    return std::nullopt;
  } catch (const std::exception&) {
    return std::nullopt;  // no memory for it
  }
  warnings_->report(describe("has a damaged record; it is fetched again"));
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(token);
  if (found != places_.end() && file == file_ && found->second.offset == place.offset) {
    places_.erase(found);
    live_bytes_ -= sizeof(RecordHeader) + place.sealed_size;
  }
  return std::nullopt;
}

std::optional<Bytes> CacheLog::read(const LocalSeal::Token& token, const Place& place,
                                    const UniqueFd& file) const {
  Bytes sealed;
  sealed.resize(place.sealed_size);
  if (!read_all(file.get(), sealed, place.offset)) return std::nullopt;
  return seal_.open(token, sealed, place.plain_size);
}

bool CacheLog::has_room_for(std::uint64_t plain_size) const {
  return folder_ >= 0 && plain_size <= LocalSeal::kMostPlain && plain_size <= budget_ / 2;
}

void CacheLog::put(const Id& id, ByteView plain) {
  if (!has_room_for(plain.size())) return;
  const LocalSeal::Token token = seal_.token(id);
  {
    const std::lock_guard lock(mutex_);
    if (!writable_ || rewriting_ || places_.contains(token)) return;
  }
  try {
    seal_and_append(token, plain);
  } catch (const std::exception& failure) {
    warnings_->report(describe(std::string("could not be added to: ") + failure.what()));
  }
}

void CacheLog::seal_and_append(const LocalSeal::Token& token, ByteView plain) {
  Bytes record;
  record.resize(sizeof(RecordHeader));
  seal_.seal(token, plain, record);
  const RecordHeader header = make_header(token, record.size() - sizeof(RecordHeader), plain.size());
  std::memcpy(record.data(), &header, sizeof header);
  if (append(token, plain, record)) return;
  // Full. A quarter of the budget is made free, so that this does not happen again soon.
  rewrite(budget_ - budget_ / 4);
  append(token, plain, record);
}

// False: there is no room. The record may have been dropped for another reason, which is no matter for a
// cache.
bool CacheLog::append(const LocalSeal::Token& token, ByteView plain, ByteView record) {
  std::uint64_t offset = 0;
  std::shared_ptr<UniqueFd> file;
  {
    const std::lock_guard lock(mutex_);
    if (!writable_ || rewriting_) return true;
    if (end_ + record.size() > budget_) return false;
    offset = end_;
    end_ += record.size();
    file = file_;
  }
  if (!write_all(file->get(), record, offset)) {
    stop_writing(describe("cannot be written: " + system_message()));
    give_back(*file, offset, record.size());
    return true;
  }
  const std::lock_guard lock(mutex_);
  if (file != file_) return true;  // rewritten meanwhile
  const Place place{.offset = offset + sizeof(RecordHeader),
                    .sealed_size = static_cast<std::uint32_t>(record.size() - sizeof(RecordHeader)),
                    .plain_size = static_cast<std::uint32_t>(plain.size()),
                    .last_used = ++clock_};
  if (places_.emplace(token, place).second) live_bytes_ += record.size();
  return true;
}

// Cuts off a record that could not be written, unless another came after it: on a full disk every byte
// counts.
void CacheLog::give_back(const UniqueFd& file, std::uint64_t offset, std::uint64_t size) {
  {
    const std::lock_guard lock(mutex_);
    if (end_ != offset + size) return;
    end_ = offset;
  }
  if (::ftruncate(file.get(), static_cast<off_t>(offset)) != 0) errno = 0;  // the next scan will stop there
}

void CacheLog::keep_only(std::span<const Id> ids) {
  std::unordered_set<LocalSeal::Token, TokenHash> kept;
  for (const Id& id : ids) kept.insert(seal_.token(id));
  {
    const std::lock_guard lock(mutex_);
    if (!writable_ || rewriting_) return;
    std::erase_if(places_, [&](const auto& entry) {
      if (kept.contains(entry.first)) return false;
      live_bytes_ -= sizeof(RecordHeader) + entry.second.sealed_size;
      return true;
    });
    // Records that nothing names any more come back with the next scan; that costs little until they are the
    // most.
    if (end_ - sizeof(FileHeader) <= 2 * live_bytes_) return;
  }
  rewrite(budget_);
}

// Leaves as many as fit into a file of that size: those used last and, among those not used yet, the newest.
// They end up in the order of their use, for at the next mount the place of a record is all that tells of it.
void CacheLog::keep_last_used(std::vector<Record>& records, std::uint64_t most_bytes) {
  std::sort(records.begin(), records.end(), [](const Record& left, const Record& right) {
    return std::pair(left.second.last_used, left.second.offset) >
           std::pair(right.second.last_used, right.second.offset);
  });
  std::uint64_t end = sizeof(FileHeader);
  const auto left_out = std::find_if(records.begin(), records.end(), [&](const Record& record) {
    end += sizeof(RecordHeader) + record.second.sealed_size;
    return end > most_bytes;
  });
  records.erase(left_out, records.end());
  std::reverse(records.begin(), records.end());
}

void CacheLog::rewrite(std::uint64_t most_bytes) {
  try {
    copy_to_new_file(most_bytes);
  } catch (const std::bad_alloc&) {
    ::unlinkat(folder_, temporary_name().c_str(), 0);
    stop_writing(describe("cannot be written: no memory"));
    const std::lock_guard lock(mutex_);
    rewriting_ = false;
  }
}

void CacheLog::copy_to_new_file(std::uint64_t most_bytes) {
  std::vector<Record> records;
  std::shared_ptr<UniqueFd> old_file;
  {
    const std::lock_guard lock(mutex_);
    if (!writable_ || std::exchange(rewriting_, true)) return;
    records.assign(places_.begin(), places_.end());
    old_file = file_;
  }
  keep_last_used(records, most_bytes);
  const std::string temporary = temporary_name();
  auto new_file = std::make_shared<UniqueFd>(create_file(temporary));
  bool good = static_cast<bool>(*new_file);
  Places places;
  std::uint64_t end = sizeof(FileHeader);
  Bytes record;
  for (const auto& [token, place] : records) {
    if (!good) break;
    const std::uint64_t size = sizeof(RecordHeader) + place.sealed_size;
    record.resize(static_cast<std::size_t>(size));
    const RecordHeader header = make_header(token, place.sealed_size, place.plain_size);
    std::memcpy(record.data(), &header, sizeof header);
    if (!read_all(old_file->get(), std::span(record).subspan(sizeof header), place.offset)) continue;
    good = write_all(new_file->get(), record, end);
    Place moved = place;
    moved.offset = end + sizeof header;
    places.emplace(token, moved);
    end += size;
  }
  good = good && ::renameat(folder_, temporary.c_str(), folder_, (name_ + ".log").c_str()) == 0;
  if (!good) {
    const std::string why = describe("cannot be written: " + system_message());
    ::unlinkat(folder_, temporary.c_str(), 0);
    stop_writing(why);
  }
  const std::lock_guard lock(mutex_);
  rewriting_ = false;
  if (!good) return;
  file_ = std::move(new_file);
  places_ = std::move(places);
  end_ = end;
  live_bytes_ = end - sizeof(FileHeader);
}

void CacheLog::stop_writing(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    writable_ = false;
  }
  warnings_->report(why);
}

std::string CacheLog::describe(const std::string& what) const {
  return "the local cache's " + name_ + ".log " + what;
}

std::vector<LocalSeal::Token> CacheLog::tokens() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::uint64_t, LocalSeal::Token>> by_offset;
  by_offset.reserve(places_.size());
  for (const auto& [token, place] : places_) by_offset.emplace_back(place.offset, token);
  std::sort(by_offset.begin(), by_offset.end());
  std::vector<LocalSeal::Token> tokens;
  tokens.reserve(by_offset.size());
  for (const auto& [offset, token] : by_offset) tokens.push_back(token);
  return tokens;
}

CacheLog::Stats CacheLog::stats() const {
  const std::lock_guard lock(mutex_);
  return {.records = places_.size(), .bytes = end_};
}

}  // namespace restic::repo
