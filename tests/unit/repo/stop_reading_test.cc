// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>

#include "base/error.h"
#include "repo/repository.h"
#include "support/fake_backend.h"
#include "support/index_material.h"
#include "support/made_repository.h"

namespace restic::repo {
namespace {

using test::Call;
using test::fail_with;
using test::Fault;
using transport::FileType;

Fault hang() { return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; }

// What a call failed with; Usage: it did not.
Errc code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return Errc::Usage;
}

// Storages that never answer: nobody may wait for them once it is of no use.
class StopReadingTest : public testing::Test {
 protected:
  test::FakeBackend& backend() { return made_.backend(); }

  void hang_on(Call::Kind kind, FileType type) {
    backend().set_hook([kind, type](const Call& call) -> Fault {
      return call.kind == kind && call.file.type == type ? hang() : Fault{};
    });
  }
  static std::future<Errc> start(std::function<void()> call) {
    return std::async(std::launch::async, code_of, std::move(call));
  }
  // Waits for the end, and lets the hung calls go where it does not come.
  Errc end_of(std::future<Errc> call) {
    if (call.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      ADD_FAILURE() << "it waits for a storage that never answers";
      backend().set_hook({});
      backend().release_hung();
    }
    return call.get();
  }
  // Makes the index name a blob in a pack that is not there.
  BlobKey put_lost_blob() {
    const PackedBlob blob = test::packed(1, 0, 100);
    test::put_index(backend(), made_.repository().crypto(),
                    {{.pack = test::numbered_id(2), .blobs = {blob}}});
    return blob.key;
  }

  test::MadeRepository made_;
};

TEST_F(StopReadingTest, AnOpeningThatFailsWaitsForNothing) {
  backend().put(test::numbered_file(FileType::Snapshot, 1), Bytes(100));
  put_lost_blob();
  put_lost_blob();
  std::atomic<int> index_loads{0};
  backend().set_hook([&](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Load) return {};
    if (call.file.type == FileType::Snapshot) return hang();
    if (call.file.type != FileType::Index) return {};
    return index_loads++ == 0 ? hang() : fail_with(Errc::Unavailable);
  });
  EXPECT_EQ(end_of(start([&] { made_.open_again(); })), Errc::Unavailable);
}

TEST_F(StopReadingTest, AnOpeningWithoutKeysDoesNotWaitForTheConfig) {
  backend().set_hook([](const Call& call) -> Fault {
    if (call.kind == Call::Kind::List && call.file.type == FileType::Key) return fail_with(Errc::Denied);
    return call.file.type == FileType::Config ? hang() : Fault{};
  });
  EXPECT_EQ(end_of(start([&] { made_.open_again(); })), Errc::Denied);
}

TEST_F(StopReadingTest, ARefreshOfTheIndexEndsWhileItLists) {
  hang_on(Call::Kind::List, FileType::Index);
  auto refresh = start([&] { made_.repository().refresh_index(); });
  backend().wait_for_hung(1);
  auto second = start([&] { made_.repository().refresh_index(); });
  made_.repository().stop_reading();
  EXPECT_EQ(end_of(std::move(refresh)), Errc::Cancelled);
  EXPECT_EQ(end_of(std::move(second)), Errc::Cancelled);
}

TEST_F(StopReadingTest, ARefreshOfTheIndexEndsWhileItLoads) {
  put_lost_blob();
  hang_on(Call::Kind::Load, FileType::Index);
  auto refresh = start([&] { made_.repository().refresh_index(); });
  backend().wait_for_hung(1);
  made_.repository().stop_reading();
  EXPECT_EQ(end_of(std::move(refresh)), Errc::Cancelled);
}

TEST_F(StopReadingTest, WritersGoOn) {
  const BlobKey key = put_lost_blob();
  hang_on(Call::Kind::List, FileType::Index);
  auto reader = start([&] { made_.repository().refresh_index(); });
  backend().wait_for_hung(1);
  auto writer = start([&] { made_.repository().refresh_index_to_write(); });
  backend().set_hook({});
  made_.repository().stop_reading();
  EXPECT_EQ(end_of(std::move(reader)), Errc::Cancelled);
  EXPECT_EQ(end_of(std::move(writer)), Errc::Usage);
  EXPECT_TRUE(made_.repository().index()->contains(key));
}

TEST_F(StopReadingTest, ClosingDoesNotWaitForTheRefreshOfAFailedRead) {
  const BlobKey key = put_lost_blob();
  std::unique_ptr<Repository> repository = made_.open_again();
  hang_on(Call::Kind::List, FileType::Index);
  const auto slots = repository->blobs().request(std::span(&key, 1), transport::Urgency::Demand);
  backend().wait_for_hung(1);
  EXPECT_EQ(end_of(start([&] { repository.reset(); })), Errc::Usage);
  EXPECT_EQ(code_of([&] { slots.front()->wait(); }), Errc::Cancelled);
}

}  // namespace
}  // namespace restic::repo
