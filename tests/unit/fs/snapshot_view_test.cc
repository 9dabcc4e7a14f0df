// SPDX-License-Identifier: MIT
#include "fs/snapshot_view.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;
using test::FakeRepository;

class SnapshotViewTest : public ::testing::Test {
 protected:
  void add_snapshot(std::uint64_t number) {
    repo::Snapshot snapshot;
    snapshot.id = FakeRepository::made_up_id(number);
    snapshot.time = {static_cast<std::int64_t>(number), 0};
    repository_.add_snapshot(snapshot);
  }
  static std::size_t shown(SnapshotView& view) {
    return view.dirs()->find(std::vector<std::string>{"ids"})->children.size();
  }
  FakeRepository repository_;
  VfsOptions options_;
};

TEST_F(SnapshotViewTest, ShowsWhatWasLoaded) {
  SnapshotView view(repository_, options_, repository_.log());
  EXPECT_EQ(shown(view), 0U);
  add_snapshot(1);
  view.load();
  EXPECT_EQ(shown(view), 1U);
}

TEST_F(SnapshotViewTest, KeepsWhatItHasWhenTheListCannotBeRead) {
  add_snapshot(1);
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  repository_.fail_with(Error(Errc::Unavailable, "no network"));
  EXPECT_THROW(view.load(), Error);
  EXPECT_EQ(shown(view), 1U);
}

TEST_F(SnapshotViewTest, FindsANewSnapshotByItself) {
  options_.refresh = 1ms;
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  view.start({});
  add_snapshot(1);
  repository_.wait_until([&] { return shown(view) == 1; });
}

TEST_F(SnapshotViewTest, LooksBringNewsAlsoWhenTheListMayNotGrowOldAtAll) {
  options_.refresh = 0ms;
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  view.start({});
  add_snapshot(1);
  repository_.wait_until([&] { return shown(view) == 1; });
  add_snapshot(2);
  repository_.wait_until([&] { return shown(view) == 2; });
}

TEST_F(SnapshotViewTest, GoesOnAfterAnOutage) {
  options_.refresh = 1ms;
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  repository_.fail_with(Error(Errc::Unavailable, "no network"));
  view.start({});
  const auto listings = repository_.listings();
  repository_.wait_until([&] { return shown(view) == 0 && repository_.listings() > listings + 3; });
  add_snapshot(1);
  repository_.fail_with(std::nullopt);
  repository_.wait_until([&] { return shown(view) == 1; });
}

TEST_F(SnapshotViewTest, AsksNobodyWhileNobodyLooks) {
  options_.refresh = 1h;
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  view.start({});
  shown(view);
  view.stop();
  EXPECT_EQ(repository_.listings(), 1U);
}

TEST_F(SnapshotViewTest, TellsWhatChangedAfterItShows) {
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  std::size_t told = 0;
  view.start([&](const SnapshotDirs& before, const SnapshotDirs& after) {
    ++told;
    const std::vector<std::string> ids{"ids"};
    EXPECT_EQ(before.find(ids)->children.size(), 0U);
    EXPECT_EQ(after.find(ids)->children.size(), 1U);
    EXPECT_EQ(shown(view), 1U);
  });
  view.load();
  EXPECT_EQ(told, 0U);
  add_snapshot(1);
  view.load();
  EXPECT_EQ(told, 1U);
}

TEST_F(SnapshotViewTest, AsksAndTellsNobodyOnceItWasStopped) {
  SnapshotView view(repository_, options_, repository_.log());
  view.load();
  view.start([](const SnapshotDirs&, const SnapshotDirs&) { ADD_FAILURE() << "nobody listens any more"; });
  view.stop();
  add_snapshot(1);
  const auto listings = repository_.listings();
  view.load();
  EXPECT_EQ(repository_.listings(), listings);
}

}  // namespace
}  // namespace restic::fs
