// SPDX-License-Identifier: MIT
// Runs that fail while something is being stored ahead.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "repo/archiver.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/sample_folder.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using transport::FileType;

constexpr std::size_t kMiB = 1U << 20U;

class ArchiverAheadTest : public testing::Test {
 protected:
  ArchiverAheadTest() {
    ArchiverOptions options;
    options.owner = {"my-host", "me", 0, 0};
    options.changes_are_reported = true;
    archiver_ = std::make_unique<Archiver>(made_.repository(), std::move(options), clock_);
  }

  // Returns when the file is being stored ahead and gets no further, for uploads fill the memory there is.
  // They will fail when they are let go.
  void store_ahead_and_hold(int times) {
    folder_.file("a small one", "content");
    archiver_->store_ahead(folder_.open("a small one"));
    // More than the archiver may hold.
    folder_.noise("file", 80 * kMiB, 1);
    made_.backend().set_hook([](const Call& call) -> Fault {
      const bool held = call.kind == Call::Kind::Save && call.file.type == FileType::Pack;
      if (!held) return {};
      return {.fail = Error(Errc::Full, "no space"), .fail_after = {}, .truncate = {}, .hang = true};
    });
    for (int i = 0; i < times; ++i) archiver_->store_ahead(folder_.open("file"));
    made_.backend().wait_for_hung(1);
  }

  // Returns when it shares the lock: it has come by the small file, which needs no reader.
  void begin_archive() {
    running_ = std::async(std::launch::async, [this] {
      archiver_->archive(folder_.open().get(), {}, progress_, stop_.get_token());
    });
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (progress_.files_done == 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(progress_.files_done, 1U);
  }

  void let_uploads_fail() {
    made_.backend().set_hook({});
    made_.backend().release_hung();
  }

  void expect_archive_to_fail_with(Errc code) {
    if (running_.wait_for(kPatience) != std::future_status::ready) {
      ADD_FAILURE() << "it does not end";
      stop_.request_stop();
      if (running_.wait_for(kPatience) != std::future_status::ready) {
        std::fputs("it does not even end when asked to stop\n", stderr);
        std::abort();  // nothing here can be destroyed
      }
    }
    try {
      running_.get();
      ADD_FAILURE() << "the failure was lost";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
  }

  void expect_next_archive_to_succeed() {
    ArchiveProgress progress;
    archiver_->archive(folder_.open().get(), {}, progress, {});
    EXPECT_EQ(made_.check_consistency(), 1U);
  }

  static constexpr std::chrono::seconds kPatience{20};

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::SampleFolder folder_;
  ArchiveProgress progress_;
  std::stop_source stop_;
  std::unique_ptr<Archiver> archiver_;
  std::future<void> running_;
};

TEST_F(ArchiverAheadTest, AFailedUploadEndsTheRunThatAwaitsTheFile) {
  store_ahead_and_hold(1);
  begin_archive();
  std::this_thread::sleep_for(20ms);  // for it to come to the file
  let_uploads_fail();
  expect_archive_to_fail_with(Errc::Full);
  expect_next_archive_to_succeed();
}

TEST_F(ArchiverAheadTest, AFailedUploadEndsTheRunThoughTheFileIsToBeStoredAheadOnceMore) {
  // The first fails and the next begins while the run, which has a lock already, wakes up.
  store_ahead_and_hold(1);
  begin_archive();
  std::this_thread::sleep_for(20ms);
  for (int i = 0; i < 20; ++i) archiver_->store_ahead(folder_.open("file"));
  let_uploads_fail();
  expect_archive_to_fail_with(Errc::Full);
  expect_next_archive_to_succeed();
}

TEST_F(ArchiverAheadTest, AFailedUploadEndsTheRunThoughEveryReaderHasMoreToStoreAhead) {
  // The run takes its time before it comes to the file: nothing of its own waits for a reader so long.
  for (int i = 0; i < 4000; ++i) {
    std::filesystem::create_symlink("target", folder_.path() / ("before it " + std::to_string(i)));
  }
  store_ahead_and_hold(8);
  begin_archive();
  let_uploads_fail();
  expect_archive_to_fail_with(Errc::Full);
  expect_next_archive_to_succeed();
}

}  // namespace
}  // namespace restic::repo
