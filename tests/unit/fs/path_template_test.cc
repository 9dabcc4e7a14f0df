// SPDX-License-Identifier: MIT
#include "fs/path_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

repo::Snapshot sample() {
  repo::Snapshot snapshot;
  snapshot.id = test::FakeRepository::made_up_id(1);
  snapshot.time = {1704164645, 999'999'999};  // 2024-01-02T03:04:05Z
  snapshot.hostname = "host";
  snapshot.username = "user";
  return snapshot;
}

std::vector<std::string> paths(const std::string& text, const repo::Snapshot& snapshot) {
  std::vector<std::string> result;
  for (const auto& [folder, time] : PathTemplate(text).expand(snapshot, {}))
    result.push_back(folder + "|" + time);
  return result;
}

TEST(PathTemplate, FillsInEveryPlaceholder) {
  const auto snapshot = sample();
  EXPECT_THAT(paths("a/%i", snapshot), ElementsAre("a/" + snapshot.id.short_hex() + "|"));
  EXPECT_THAT(paths("%I", snapshot), ElementsAre(snapshot.id.hex() + "|"));
  EXPECT_THAT(paths("%u/%h/%T", snapshot), ElementsAre("user/host|2024-01-02T03:04:05Z"));
  EXPECT_THAT(paths("%T/%h", snapshot), ElementsAre("2024-01-02T03:04:05Z/host|"));
  EXPECT_THAT(paths("100%%/%x", snapshot), ElementsAre("100%/x|"));
}

TEST(PathTemplate, WritesTheTimeInTheOffsetItWasRecordedIn) {
  auto snapshot = sample();
  snapshot.zone_seconds = 5 * 3600 + 1800;
  EXPECT_EQ(snapshot_time_text(snapshot, ""), "2024-01-02T08:34:05+05:30");
  snapshot.zone_seconds = -3600;
  EXPECT_EQ(snapshot_time_text(snapshot, ""), "2024-01-02T02:04:05-01:00");
  EXPECT_EQ(snapshot_time_text(snapshot, "%Y/%m %z"), "2024/01 -0100");
}

TEST(PathTemplate, GivesAPathForEachTagAndNoneWithoutTags) {
  auto snapshot = sample();
  EXPECT_THAT(paths("tags/%t/%T", snapshot), IsEmpty());
  snapshot.tags = {"a/b", "..", ".", ""};
  EXPECT_THAT(paths("tags/%t", snapshot), ElementsAre("tags/a_b|", "tags/__|", "tags/_|", "tags/_|"));
}

TEST(PathTemplate, MakesNestedFoldersOfASlashInAHostOrASingleTag) {
  auto snapshot = sample();
  snapshot.hostname = "ho/st";
  snapshot.tags = {"a/b"};
  EXPECT_THAT(paths("%h/%t", snapshot), ElementsAre("ho/st/a/b|"));
}

TEST(PathTemplate, LetsNoSnapshotEscapeItsFolder) {
  auto snapshot = sample();
  snapshot.hostname = "../../etc/./x";
  EXPECT_THAT(paths("hosts/%h/%T", snapshot), ElementsAre("hosts/__/__/etc/x|2024-01-02T03:04:05Z"));
  snapshot.hostname = std::string("nul\0byte", 8);
  EXPECT_THAT(paths("%h", snapshot), ElementsAre("nul_byte|"));
  snapshot.hostname = std::string(3000, 'x');
  EXPECT_THAT(paths("%h", snapshot), ElementsAre(std::string(255, 'x') + "|"));
}

TEST(PathTemplate, SurvivesATimeOutOfAllBounds) {
  auto snapshot = sample();
  snapshot.time.seconds = std::numeric_limits<std::int64_t>::max() - 100'000;
  EXPECT_EQ(snapshot_time_text(snapshot, ""), "_");
}

TEST(PathTemplate, KnowsTheFolderThatIsAlwaysThere) {
  EXPECT_EQ(PathTemplate("a/b/x%i").fixed_folder(), "a/b");
  EXPECT_EQ(PathTemplate("%i").fixed_folder(), "");
  EXPECT_EQ(PathTemplate("tags/%t/%T").fixed_folder(), "tags");
}

}  // namespace
}  // namespace restic::fs
