// SPDX-License-Identifier: MIT
#include "fs/snapshot_dirs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kNoon = 1704110400;  // 2024-01-01T12:00:00Z

repo::Snapshot snapshot(std::uint64_t number, std::int64_t time, std::string host = "h",
                        std::vector<std::string> tags = {}) {
  repo::Snapshot result;
  result.id = test::FakeRepository::made_up_id(number);
  result.tree = test::FakeRepository::made_up_id(1000 + number);
  result.time = {time, 0};
  result.hostname = std::move(host);
  result.tags = std::move(tags);
  result.paths = {"/data"};
  return result;
}

// "name", "name/" for a folder, "name -> target" for a link.
std::vector<std::string> shown(const SnapshotDirs& dirs, const std::vector<std::string>& path) {
  const MetaNode* const folder = dirs.find(path);
  if (folder == nullptr) return {"not there"};
  std::vector<std::string> names;
  for (const auto& [name, child] : folder->children) {
    switch (child.kind) {
      case MetaNode::Kind::Folder:
        names.push_back(name + "/");
        break;
      case MetaNode::Kind::Link:
        names.push_back(name + " -> " + child.target);
        break;
      case MetaNode::Kind::Snapshot:
        names.push_back(name);
        break;
    }
  }
  return names;
}

TEST(SnapshotDirs, ShowTheirFoldersEvenWithNoSnapshots) {
  const SnapshotDirs dirs({}, {});
  EXPECT_THAT(shown(dirs, {}), ElementsAre("hosts/", "ids/", "snapshots/", "tags/"));
  EXPECT_THAT(shown(dirs, {"snapshots"}), IsEmpty());
}

TEST(SnapshotDirs, ShowASnapshotUnderItsIdTimeHostAndTags) {
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon, "web", {"a", "b/c"})};
  const SnapshotDirs dirs(list, {});
  EXPECT_THAT(shown(dirs, {"ids"}), ElementsAre(list[0].id.short_hex()));
  EXPECT_THAT(shown(dirs, {"snapshots"}),
              ElementsAre("2024-01-01T12:00:00Z", "latest -> 2024-01-01T12:00:00Z"));
  EXPECT_THAT(shown(dirs, {"hosts"}), ElementsAre("web/"));
  EXPECT_THAT(shown(dirs, {"tags"}), ElementsAre("a/", "b_c/"));
  EXPECT_THAT(shown(dirs, {"tags", "b_c"}),
              ElementsAre("2024-01-01T12:00:00Z", "latest -> 2024-01-01T12:00:00Z"));
}

TEST(SnapshotDirs, NumberEqualTimesInTheirOrderAndLinkToTheLast) {
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon, "a"), snapshot(2, kNoon, "b"),
                                         snapshot(3, kNoon, "a")};
  const SnapshotDirs dirs(list, {});
  EXPECT_THAT(shown(dirs, {"snapshots"}),
              ElementsAre("2024-01-01T12:00:00Z", "2024-01-01T12:00:00Z-1", "2024-01-01T12:00:00Z-2",
                          "latest -> 2024-01-01T12:00:00Z-2"));
  EXPECT_THAT(shown(dirs, {"hosts", "a"}), ElementsAre("2024-01-01T12:00:00Z", "2024-01-01T12:00:00Z-1",
                                                       "latest -> 2024-01-01T12:00:00Z-1"));
  const std::vector<std::string> second{"snapshots", "2024-01-01T12:00:00Z-1"};
  EXPECT_EQ(dirs.find(second)->snapshot, list[1].id);
}

TEST(SnapshotDirs, LinkIntoTheFoldersThatATimeWithSlashesMakes) {
  VfsOptions options;
  options.time_template = "%Y/%m";
  options.path_templates = {"by/%h/%T"};
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon), snapshot(2, kNoon + 1)};
  const SnapshotDirs dirs(list, options);
  EXPECT_THAT(shown(dirs, {}), ElementsAre("by/"));
  EXPECT_THAT(shown(dirs, {"by", "h"}), ElementsAre("2024/", "latest -> 2024/01-1"));
  EXPECT_THAT(shown(dirs, {"by", "h", "2024"}), ElementsAre("01", "01-1"));
}

TEST(SnapshotDirs, LetNoSnapshotReplaceAnother) {
  VfsOptions options;
  options.path_templates = {"%h"};
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon, "a"), snapshot(2, kNoon, "a/b"),
                                         snapshot(3, kNoon, "a")};
  EXPECT_THAT(shown(SnapshotDirs(list, options), {}), ElementsAre("a", "a-1"));
}

TEST(SnapshotDirs, LeaveASnapshotThatIsCalledLatestInItsPlace) {
  VfsOptions options;
  options.time_template = "latest";
  options.path_templates = {"%T"};
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon)};
  EXPECT_THAT(shown(SnapshotDirs(list, options), {}), ElementsAre("latest"));
}

TEST(SnapshotDirs, AreAsNewAsTheNewestSnapshotInThem) {
  const std::vector<repo::Snapshot> list{snapshot(1, kNoon, "a"), snapshot(2, kNoon + 60, "b")};
  const SnapshotDirs dirs(list, {});
  EXPECT_EQ(dirs.root().time.seconds, kNoon + 60);
  EXPECT_EQ(dirs.find(std::vector<std::string>{"hosts", "a"})->time.seconds, kNoon);
}

TEST(SnapshotDirs, ShowOnlyWhatIsSelected) {
  const auto matches = [](const VfsOptions& options, const repo::Snapshot& one) {
    return is_selected(one, options);
  };
  const auto tagged = snapshot(1, kNoon, "web", {"x", "y"});
  const auto plain = snapshot(2, kNoon, "db");
  VfsOptions hosts;
  hosts.hosts = {"db", "mail"};
  EXPECT_FALSE(matches(hosts, tagged));
  EXPECT_TRUE(matches(hosts, plain));
  VfsOptions tags;
  tags.tags = {"x,z", "x,y"};
  EXPECT_TRUE(matches(tags, tagged));
  EXPECT_FALSE(matches(tags, plain));
  VfsOptions untagged;
  untagged.tags = {""};
  EXPECT_FALSE(matches(untagged, tagged));
  EXPECT_TRUE(matches(untagged, plain));
  VfsOptions paths;
  paths.paths = {"/data"};
  EXPECT_TRUE(matches(paths, plain));
  paths.paths = {"/data", "/etc"};
  EXPECT_FALSE(matches(paths, plain));
}

}  // namespace
}  // namespace restic::fs
