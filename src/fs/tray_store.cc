// SPDX-License-Identifier: MIT
#include "fs/tray_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "fs/state_files.h"

namespace restic::fs {
namespace {

constexpr std::size_t kMaxNames = 100'000;      // in one folder of the layout
constexpr unsigned kMaxSlots = 1000;            // mounts of one repository in one state folder
constexpr std::size_t kMaxLockNames = 1 << 20;  // bytes of a list of lock names
constexpr const char* kBoot = "boot";
constexpr std::size_t kMaxBoot = 4096;  // bytes
// For a slot that seems to be held.
constexpr int kMostTries = 5;
constexpr std::chrono::milliseconds kBetweenTries{40};

// File systems whose flock, rename or sync do not promise what a tray needs, or whose server may vanish.
constexpr std::array<long, 12> kNotLocal = {
    0x6969 /* nfs */,      0x517B /* smb */,      0xFF534D42 /* cifs */, 0xFE534D42 /* smb2 */,
    0x65735546 /* fuse */, 0x01021997 /* 9p */,   0x73757245 /* coda */, 0x5346414F /* afs */,
    0x6B414653 /* kafs */, 0x00C36400 /* ceph */, 0x01161970 /* gfs2 */, 0x7461636F /* ocfs2 */,
};

void check_folder(const std::string& path, int fd) {
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) throw system_error("cannot read the file system of " + path, errno);
  const auto type = static_cast<long>(system.f_type);
  if (std::find(kNotLocal.begin(), kNotLocal.end(), type) != kNotLocal.end()) {
    throw Error(Errc::Usage, path + " is not on a local file system");
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw system_error("cannot read " + path, errno);
  if (status.st_uid != ::geteuid()) {
    throw Error(Errc::Usage, path + " belongs to another user");
  }
  if ((status.st_mode & 077U) != 0 && ::fchmod(fd, 0700) != 0) {
    throw system_error("cannot close " + path + " to other users", errno);
  }
}

UniqueFd make_and_open(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0700) == 0) {
    sync_folder(parent);
  } else if (errno != EEXIST) {
    throw system_error("cannot make the folder " + name + " in the state folder", errno);
  }
  return open_folder(parent, name);
}

std::vector<repo::Id> read_lock_names(int slot, const std::string& file) {
  std::vector<repo::Id> names;
  const std::optional<Bytes> content = read_file(slot, file, kMaxLockNames);
  if (!content) return names;
  std::istringstream lines{std::string(as_text(*content))};
  for (std::string line; std::getline(lines, line);) {
    if (const auto id = repo::Id::from_hex(line)) names.push_back(*id);
  }
  return names;
}

void write_lock_names(int slot, const std::string& file, const std::vector<repo::Id>& names) {
  std::string lines;
  for (const repo::Id& name : names) lines += name.hex() + "\n";
  replace_file(slot, file, as_bytes(lines));
}

// Null: a living mount holds it.
UniqueFd lock_slot(int slot) {
  UniqueFd lock(::openat(slot, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock) throw system_error("cannot open the lock of the state folder", errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) throw system_error("cannot lock the state folder", errno);
  return {};
}

// The run of the machine that a mount was in which used the slot last, where that is known.
std::optional<std::string> boot_of(int slot) {
  const std::optional<Bytes> boot = read_file(slot, kBoot, kMaxBoot);
  if (!boot) return std::nullopt;
  return std::string(as_text(*boot));
}

void note_boot(int slot, Log& log) {
  try {
    replace_file(slot, kBoot, as_bytes(boot_id()));
  } catch (const Error& error) {
    log.warning(std::string("a power cut in this run of the machine will go unnoticed: ") + error.what());
  }
}

bool is_slot(const std::string& name) { return name.starts_with("slot-"); }

}  // namespace

TrayStore::TrayStore(const std::string& state_dir, const repo::Id& repository, Log& log)
    : log_(log), repository_(repository) {
  std::error_code problem;
  std::filesystem::create_directories(state_dir, problem);
  if (problem) throw system_error("cannot make the state folder " + state_dir, problem.value());
  const UniqueFd base(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!base) throw system_error("cannot open the state folder " + state_dir, errno);
  const std::string mine = state_dir + "/" + repository.hex();
  folder_ = make_and_open(base.get(), repository.hex());
  check_folder(mine, folder_.get());
  take_slots();
  path_ = mine + "/" + slots_.front().name;
  reserve_.emplace(slots_.front().folder.get());
  for (std::size_t i = 0; i < slots_.size(); ++i) read_slot(slots_[i], i == 0);
  std::sort(sealed_.begin(), sealed_.end(),
            [](const auto& left, const auto& right) { return left->number() < right->number(); });
  gather_left_over_locks();
  name_other_repositories(base.get());
  for (const std::string& line : problems_) log_.warning(line);
}

bool TrayStore::try_take(const std::string& name) {
  UniqueFd slot = make_and_open(folder_.get(), name);
  UniqueFd lock = lock_slot(slot.get());
  if (!lock) return false;
  UniqueFd trays = make_and_open(slot.get(), "trays");
  slots_.push_back({name, std::move(lock), std::move(slot), std::move(trays)});
  return true;
}

void TrayStore::take_slots() {
  bool any_held = false;
  for (int tries = 0; slots_.empty() && (tries == 0 || (any_held && tries < kMostTries)); ++tries) {
    // The mount of another repository may hold it for the moment of a look.
    if (tries > 0) std::this_thread::sleep_for(kBetweenTries);
    for (const std::string& name : list_folder(folder_.get(), kMaxNames)) {
      if (is_slot(name) && !try_take(name)) any_held = true;
    }
  }
  for (unsigned number = 0; slots_.empty() && number < kMaxSlots; ++number) {
    try_take("slot-" + std::to_string(number));
  }
  if (slots_.empty()) throw Error(Errc::Usage, "too many mounts of one repository share one state folder");
}

void TrayStore::read_slot(Slot& slot, bool own) {
  std::vector<std::unique_ptr<Tray>> open;
  const std::optional<std::string> boot = boot_of(slot.folder.get());
  const bool went_down = boot && *boot != boot_id();
  for (const std::string& folder : list_folder(slot.trays.get(), kMaxNames)) {
    const std::string place = repository_.hex() + "/" + slot.name + "/trays/" + folder;
    const std::optional<TrayName> name = parse_tray_name(folder);
    if (name) last_number_ = std::max(last_number_, name->number);
    if (name && name->state == "partial") {
      problems_.push_back("left alone: the drop in " + place +
                          ", which its snapshot does not hold all of; take what you need and remove it");
      continue;
    }
    if (name && (name->state == "fresh" || name->state == "done")) {
      try {
        Tray::remove_left_over(slot.trays.get(), folder);
      } catch (const Error& error) {
        problems_.push_back("cannot remove what a finished drop left in " + place + ": " + error.what());
      }
      continue;
    }
    try {
      auto tray = Tray::open(slot.trays.get(), folder, repository_);
      if (went_down && tray->state() == Tray::State::Open && !tray->empty()) tray->suspect();
      if (tray->may_be_incomplete()) {
        problems_.push_back("the machine went down, or its disk failed, before the drop in " + place +
                            " was on the disk: files of its snapshot may be incomplete");
      }
      (tray->state() == Tray::State::Open ? open : sealed_).push_back(std::move(tray));
    } catch (const Error& error) {
      problems_.push_back("left alone: the drop in " + place + ": " + error.what());
    }
  }
  if (!boot || went_down) note_boot(slot.folder.get(), log_);
  // The names are sorted: the last open tray is the newest; a later one exists only when sealing had begun.
  if (own && !open.empty()) {
    open_ = std::move(open.back());
    open.pop_back();
  }
  for (std::unique_ptr<Tray>& tray : open) {
    try {
      tray->seal();
      sealed_.push_back(std::move(tray));
    } catch (const Error& error) {
      problems_.push_back("left alone: the drop in " + slot.name + "/trays/" + tray->folder() + ": " +
                          error.what());
    }
  }
}

void TrayStore::gather_left_over_locks() {
  std::vector<repo::Id> all;
  for (const Slot& slot : slots_) {
    for (const char* file : {"left-over", "locks"}) {
      const std::vector<repo::Id> names = read_lock_names(slot.folder.get(), file);
      all.insert(all.end(), names.begin(), names.end());
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  keep_left_over_locks(all);
  // Only now that they stand in our own list may the others go.
  for (const Slot& slot : slots_) {
    remove_file(slot.folder.get(), "locks");
    if (&slot != &slots_.front()) remove_file(slot.folder.get(), "left-over");
  }
}

void TrayStore::name_other_repositories(int state_dir) {
  for (const std::string& name : list_folder(state_dir, kMaxNames)) {
    const std::optional<repo::Id> other = repo::Id::from_hex(name);
    if (!other || *other == repository_) continue;
    try {
      const UniqueFd folder = open_folder(state_dir, name);
      for (const std::string& slot_name : list_folder(folder.get(), kMaxNames)) {
        if (!is_slot(slot_name)) continue;
        const UniqueFd slot = open_folder(folder.get(), slot_name);
        const UniqueFd lock = lock_slot(slot.get());
        if (!lock) continue;
        const UniqueFd trays = open_folder(slot.get(), "trays");
        for (const std::string& tray : list_folder(trays.get(), kMaxNames)) {
          const std::optional<TrayName> parsed = parse_tray_name(tray);
          if (parsed && parsed->state == "partial") continue;  // waits for nobody
          const UniqueFd files = open_folder(open_folder(trays.get(), tray).get(), "files");
          if (holds_nothing(files.get())) continue;
          problems_.push_back("left alone: the drop in " + name + "/" + slot_name + "/trays/" + tray +
                              " waits for a mount of another repository");
        }
      }
    } catch (const Error& error) {
      log_.debug("cannot look into " + name + " of the state folder: " + error.what());
    }
  }
}

std::unique_ptr<Tray> TrayStore::take_open() {
  if (open_) return std::move(open_);
  return reserve_->run(
      [this] { return Tray::make(slots_.front().trays.get(), ++last_number_, repository_, -1); });
}

std::vector<std::unique_ptr<Tray>> TrayStore::take_sealed() { return std::move(sealed_); }

std::unique_ptr<Tray> TrayStore::make_next(const Tray& current) {
  return Tray::make(slots_.front().trays.get(), ++last_number_, repository_, current.files());
}

void TrayStore::note_locks(const std::vector<repo::Id>& may_exist) {
  reserve_->run([&] { write_lock_names(slots_.front().folder.get(), "locks", may_exist); });
}

void TrayStore::sync() const { sync_disk(folder_.get()); }

void TrayStore::sync_at_the_end() {
  sync();
  const int slot = slots_.front().folder.get();
  remove_file(slot, kBoot);
  sync_folder(slot);
}

std::vector<repo::Id> TrayStore::left_over_locks() const {
  return read_lock_names(slots_.front().folder.get(), "left-over");
}

void TrayStore::keep_left_over_locks(const std::vector<repo::Id>& remaining) {
  if (remaining.empty()) return remove_file(slots_.front().folder.get(), "left-over");
  reserve_->run([&] { write_lock_names(slots_.front().folder.get(), "left-over", remaining); });
}

}  // namespace restic::fs
