// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "fs/committer.h"
#include "fs/session.h"
#include "fs/staging.h"
#include "support/fake_repository.h"
#include "support/fake_snapshot_maker.h"
#include "support/mount_watchdog.h"
#include "support/temporary_folder.h"

namespace restic::test {

inline const repo::Id kStagedRepository = repo::Id::of(as_bytes("a repository"));

// One life of a mount with `new/` on given folders.
class StagedLife {
 public:
  StagedLife(const std::filesystem::path& state, const std::filesystem::path& mountpoint,
             FakeSnapshotMaker& maker, fs::CommitterOptions options = {}, bool allow_other = false)
      : store_(state, kStagedRepository, log_),
        staging_(store_, maker, clock_, log_, std::chrono::milliseconds(20)),
        committer_(staging_, store_, maker, std::move(options), clock_, log_, {}) {
    vfs_.load_snapshots();
    fs::SessionOptions session;
    session.source = "test";
    session.mountpoint = mountpoint;
    session.allow_other = allow_other;
    session_.emplace(vfs_, &staging_, session, log_);
    session_->mount();
    committer_.start();
    std::promise<void> ready;
    serving_ = std::thread([this, &ready] { session_->run([&ready] { ready.set_value(); }); });
    ready.get_future().wait();
    watchdog_ = MountWatchdog(mountpoint);
  }
  ~StagedLife() { unmount(); }
  void unmount() {
    watchdog_ = {};
    if (!serving_.joinable()) return;
    session_->stop();
    serving_.join();
    session_.reset();
  }
  fs::Committer& committer() { return committer_; }
  fs::Staging& staging() { return staging_; }

 private:
  Log log_{Log::Sink::Nothing};
  SystemClock clock_;
  FakeRepository repository_;
  fs::Vfs vfs_{repository_, {}, log_};
  fs::TrayStore store_;
  fs::Staging staging_;
  fs::Committer committer_;
  std::optional<fs::Session> session_;
  std::thread serving_;
  MountWatchdog watchdog_;
};

// A mount of a repository in memory with `new/` for real, to work in with system calls.
class StagedMount : public testing::Test {
 protected:
  StagedMount() { std::filesystem::create_directory(mountpoint_); }

  void mount(fs::CommitterOptions options = {}, bool allow_other = false) {
    life_.emplace(folder_.path() / "state", mountpoint_, maker_, std::move(options), allow_other);
  }
  std::string in_new(const std::string& name) const { return (mountpoint_ / "new" / name).string(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream file(in_new(name), std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    ASSERT_TRUE(file) << name;
  }
  std::string get(const std::string& name) const {
    std::ifstream file(in_new(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> names(const std::string& below = "") const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(in_new(below)))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }
  std::filesystem::path trays() const {
    return folder_.path() / "state" / kStagedRepository.hex() / "slot-0" / "trays";
  }
  // 0 or errno.
  int sync_new() const {
    const UniqueFd fd(::open((mountpoint_ / "new").c_str(), O_RDONLY | O_DIRECTORY));
    return ::fsync(fd.get()) == 0 ? 0 : errno;
  }

  // False: not within a minute.
  template <class Condition>
  static bool soon(const Condition& condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  TemporaryFolder folder_;
  std::filesystem::path mountpoint_ = folder_.path() / "mnt";
  FakeSnapshotMaker maker_;
  std::optional<StagedLife> life_;
};

}  // namespace restic::test
