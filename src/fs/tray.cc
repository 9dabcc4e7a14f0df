// SPDX-License-Identifier: MIT
#include "fs/tray.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "fs/state_files.h"

namespace restic::fs {
namespace {

constexpr std::size_t kDigits = 8;
constexpr const char* kNoBoot = "unknown";     // as boot_id() has it: nothing can be concluded from it
constexpr const char* kSyncFailed = "failed";  // in place of a boot id, and equal to none
constexpr const char* kLeftOut = "left-out";
constexpr const char* kSuspect = "suspect";
constexpr std::size_t kMaxTrayFile = 4096;            // bytes
constexpr std::size_t kMaxSnapshotFile = 16U << 20U;  // bytes; a snapshot file is a few hundred

const char* name_of(Tray::State state) {
  switch (state) {
    case Tray::State::Open:
      return "open";
    case Tray::State::Sealed:
      return "sealed";
    case Tray::State::Partial:
      return "partial";
    case Tray::State::Done:
      break;
  }
  return "done";
}

std::string digits_of(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return digits;
}

std::string folder_name(std::uint64_t number, const char* state, const std::string& boot = {}) {
  return digits_of(number) + "." + state + (boot.empty() ? "" : "." + boot);
}

std::string describe_tray(const repo::Id& repository) {
  return "mount.restic tray 1\nrepository " + repository.hex() + "\n";
}

void copy_access(int from, int to) {
  struct stat status {};
  if (::fstat(from, &status) != 0) throw system_error("cannot read a tray's owner", errno);
  // Ownership is kept as far as we may give it; the mode is not a guess then.
  if (::fchown(to, status.st_uid, status.st_gid) != 0 && errno != EPERM) {
    throw system_error("cannot set a tray's owner", errno);
  }
  if (::fchmod(to, status.st_mode & 07777U) != 0) throw system_error("cannot set a tray's mode", errno);
  for (const char* name : {"system.posix_acl_access", "system.posix_acl_default"}) {
    std::array<char, 65536> value;
    const ssize_t size = ::fgetxattr(from, name, value.data(), value.size());
    if (size > 0 && ::fsetxattr(to, name, value.data(), static_cast<std::size_t>(size), 0) != 0) {
      throw system_error("cannot set a tray's access list", errno);
    }
  }
}

// Else it is done when it is found.
void remove_if_possible(int trays, const std::string& folder) {
  try {
    Tray::remove_left_over(trays, folder);
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what failed before is what matters
  }
}

}  // namespace

std::optional<TrayName> parse_tray_name(const std::string& folder) {
  const std::size_t dot = folder.find('.');
  if (dot == std::string::npos || dot < kDigits) return std::nullopt;
  TrayName name{};
  const char* end = folder.data() + dot;
  const auto [rest, problem] = std::from_chars(folder.data(), end, name.number);
  if (problem != std::errc{} || rest != end) return std::nullopt;
  const std::size_t second = std::min(folder.find('.', dot + 1), folder.size());
  name.state = folder.substr(dot + 1, second - dot - 1);
  if (second < folder.size()) name.boot = folder.substr(second + 1);
  return name;
}

Tray::Tray(int trays, std::uint64_t number, State state, UniqueFd folder_fd, UniqueFd files)
    : trays_(trays),
      number_(number),
      state_(state),
      folder_(std::move(folder_fd)),
      files_(std::move(files)) {}

std::unique_ptr<Tray> Tray::make(int trays, std::uint64_t number, const repo::Id& repository, int like) {
  const std::string fresh = folder_name(number, "fresh");
  make_folder(trays, fresh, 0700);
  try {
    return furnish(trays, number, repository, like);
  } catch (const Error&) {
    remove_if_possible(trays, fresh);
    throw;
  }
}

std::unique_ptr<Tray> Tray::furnish(int trays, std::uint64_t number, const repo::Id& repository, int like) {
  const std::string fresh = folder_name(number, "fresh");
  UniqueFd folder = open_folder(trays, fresh);
  make_folder(folder.get(), "files", 0755);
  UniqueFd files = open_folder(folder.get(), "files");
  if (like >= 0) copy_access(like, files.get());
  replace_file(folder.get(), "tray", as_bytes(describe_tray(repository)));
  sync_folder(files.get());
  rename_in(trays, fresh, folder_name(number, "open"));
  sync_folder(trays);
  return std::unique_ptr<Tray>(new Tray(trays, number, State::Open, std::move(folder), std::move(files)));
}

std::unique_ptr<Tray> Tray::open(int trays, const std::string& folder, const repo::Id& repository) {
  const std::optional<TrayName> name = parse_tray_name(folder);
  const bool is_open = name && name->state == "open";
  if (!name || (!is_open && name->state != "sealed")) throw Error(Errc::Damaged, "its name is not a tray's");
  try {
    UniqueFd fd = open_folder(trays, folder);
    const std::optional<Bytes> kind = read_file(fd.get(), "tray", kMaxTrayFile);
    if (!kind) throw Error(Errc::Damaged, "its file `tray` is missing");
    if (as_text(*kind) != describe_tray(repository)) {
      throw Error(Errc::Damaged, "it belongs to another repository or another version");
    }
    UniqueFd files = open_folder(fd.get(), "files");
    const State state = is_open ? State::Open : State::Sealed;
    auto tray = std::unique_ptr<Tray>(new Tray(trays, name->number, state, std::move(fd), std::move(files)));
    tray->unsynced_in_ = name->boot;
    tray->found_unsynced_ = !name->boot.empty() && (name->boot == kNoBoot || name->boot != boot_id());
    tray->suspect_ = read_file(tray->folder_.get(), kSuspect, kMaxTrayFile).has_value();
    return tray;
  } catch (const Error& error) {
    throw Error(Errc::Damaged, error.what());
  }
}

void Tray::remove_left_over(int trays, const std::string& folder) {
  remove_tree(trays, folder);
  sync_folder(trays);
}

std::string Tray::folder() const { return folder_name(number_, name_of(state_), unsynced_in_); }

std::string Tray::digits() const { return digits_of(number_); }

std::string Tray::path() const {
  std::array<char, 4096> place;
  const std::string link = "/proc/self/fd/" + std::to_string(trays_);
  const ssize_t size = ::readlink(link.c_str(), place.data(), place.size());
  return std::string(place.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))) + "/" + folder();
}

bool Tray::empty() const { return holds_nothing(files_.get()); }

void Tray::change_state(State state, const std::string& unsynced_in) {
  rename_in(trays_, folder(), folder_name(number_, name_of(state), unsynced_in));
  state_ = state;
  unsynced_in_ = unsynced_in;
  sync_folder(trays_);
}

void Tray::suspect() noexcept {
  suspect_ = true;
  try {
    replace_file(folder_.get(), kSuspect, {});
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): this mount knows it all the same
  }
}

void Tray::seal() { change_state(State::Sealed, boot_id()); }

void Tray::sync_files() {
  if (sync_failure_) throw Error(*sync_failure_);
  try {
    sync_disk(files_.get());
  } catch (const Error& error) {
    sync_failure_ = error;
    remember_sync_failure();
    throw;
  }
  change_state(state_, "");
}

// For the next mount, which the kernel does not tell any more.
void Tray::remember_sync_failure() noexcept {
  try {
    change_state(state_, kSyncFailed);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): a disk that fails takes no names either
  }
}

void Tray::keep_snapshot(ByteView stored) { replace_file(folder_.get(), "snapshot", stored); }

std::optional<Bytes> Tray::kept_snapshot() const {
  return read_file(folder_.get(), "snapshot", kMaxSnapshotFile);
}

void Tray::expect_whole(bool whole) {
  if (!whole) return replace_file(folder_.get(), kLeftOut, {});
  remove_file(folder_.get(), kLeftOut);
}

void Tray::finish() {
  const bool whole = !read_file(folder_.get(), kLeftOut, kMaxTrayFile);
  change_state(whole ? State::Done : State::Partial, "");
}

void Tray::remove() {
  remove_tree(trays_, folder());
  sync_folder(trays_);
}

}  // namespace restic::fs
