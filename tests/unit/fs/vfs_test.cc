// SPDX-License-Identifier: MIT
#include "fs/vfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "fs/inode_number.h"
#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using test::FakeNode;
using test::FakeRepository;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kFirstTime = 1704110400;  // 2024-01-01T12:00:00Z

class VfsTest : public ::testing::Test {
 protected:
  repo::Id add_snapshot(std::vector<FakeNode> nodes, std::int64_t time = kFirstTime) {
    repo::Snapshot snapshot;
    snapshot.id = FakeRepository::made_up_id(5000 + next_++);
    snapshot.tree = repository_.add_tree(std::move(nodes));
    snapshot.time = {time, 0};
    snapshot.hostname = "host";
    repository_.add_snapshot(snapshot);
    return snapshot.id;
  }
  Vfs& vfs() {
    if (!vfs_) {
      vfs_ = std::make_unique<Vfs>(repository_, options_, repository_.log());
      vfs_->load_snapshots();
    }
    return *vfs_;
  }
  // The entry of a path below the root, looked up name by name.
  std::optional<Entry> walk(std::initializer_list<std::string> path) {
    Entry at;
    at.node = kRootNode;
    for (const auto& name : path) {
      const auto next = vfs().lookup(at.node, name);
      if (!next) return std::nullopt;
      at = *next;
    }
    return at;
  }
  NodeId node(std::initializer_list<std::string> path) { return walk(path).value().node; }
  // All names, read `batch` entries at a time, as a kernel with a small buffer does.
  std::vector<std::string> names(NodeId folder, std::size_t batch = 1000, bool plus = false) {
    std::vector<std::string> result;
    const auto dir = vfs().open_dir(folder);
    std::uint64_t cookie = 0;
    for (bool more = true; more;) {
      std::size_t taken = 0;
      vfs().read_dir(*dir, cookie, plus, [&](const DirEntry& entry) {
        if (taken == batch) return false;
        ++taken;
        result.emplace_back(entry.name);
        cookie = entry.cookie;
        if (plus && entry.entry.node != 0) held_.push_back(entry.entry.node);
        return true;
      });
      more = taken > 0;
    }
    return result;
  }
  std::string content(NodeId file) {
    std::string text;
    const auto open = vfs().open_file(file);
    for (const auto& piece : vfs().read(*open, 0, 1 << 20, [] { return false; }))
      text += as_text(piece.bytes);
    return text;
  }
  static Errc reason(const std::function<void()>& operation) {
    try {
      operation();
    } catch (const Error& failure) {
      return failure.code();
    }
    throw std::runtime_error("it did not fail");
  }

  FakeRepository repository_;
  VfsOptions options_;
  std::vector<NodeId> held_;

 private:
  std::uint64_t next_ = 0;
  std::unique_ptr<Vfs> vfs_;
};

TEST_F(VfsTest, FindsWhatIsThereAndOnlyThat) {
  add_snapshot({repository_.folder("etc", {repository_.file("passwd", "root")})});
  EXPECT_EQ(content(node({"snapshots", "2024-01-01T12:00:00Z", "etc", "passwd"})), "root");
  EXPECT_FALSE(walk({"snapshots", "2024-01-01T12:00:00Z", "etc", "shadow"}));
  EXPECT_FALSE(walk({"snapshots", "1999"}));
  EXPECT_FALSE(walk({"nothing"}));
}

TEST_F(VfsTest, LinksLatestToTheNewestSnapshot) {
  add_snapshot({}, kFirstTime);
  add_snapshot({}, kFirstTime + 60);
  EXPECT_EQ(vfs().read_link(node({"snapshots", "latest"})), "2024-01-01T12:01:00Z");
  EXPECT_EQ(vfs().read_link(node({"hosts", "host", "latest"})), "2024-01-01T12:01:00Z");
  EXPECT_EQ(vfs().read_link(kRootNode), std::nullopt);
  EXPECT_EQ(vfs().read_link(node({"hosts"})), std::nullopt);
}

TEST_F(VfsTest, BelievesSnapshotsForEverAndFoldersOfSnapshotsShortly) {
  add_snapshot({repository_.file("file", "x")});
  const auto inside = walk({"snapshots", "2024-01-01T12:00:00Z", "file"});
  EXPECT_EQ(inside->name_timeout, kForever);
  EXPECT_EQ(inside->attribute_timeout, kForever);
  EXPECT_EQ(vfs().absence_timeout(node({"snapshots", "2024-01-01T12:00:00Z"})), kForever);
  EXPECT_EQ(walk({"snapshots"})->name_timeout, kShortly);
  EXPECT_EQ(walk({"snapshots", "2024-01-01T12:00:00Z"})->name_timeout, kShortly);
  EXPECT_EQ(vfs().absence_timeout(node({"snapshots"})), kShortly);
}

TEST_F(VfsTest, DatesAFolderWithoutSnapshotsFromTheMount) {
  EXPECT_GT(walk({"snapshots"})->attributes.st_mtim.tv_sec, kFirstTime);
}

TEST_F(VfsTest, NumbersInodesAsResticMountDoes) {
  add_snapshot({repository_.file("file", "x")});
  const auto entry = walk({"snapshots", "2024-01-01T12:00:00Z", "file"});
  const auto parent = child_inode(child_inode(kRootInode, "snapshots"), "2024-01-01T12:00:00Z");
  EXPECT_EQ(entry->attributes.st_ino, child_inode(parent, "file"));
  EXPECT_EQ(vfs().attributes(kRootNode)->attributes.st_ino, kRootInode);
}

TEST_F(VfsTest, SharesInodesBetweenHardLinksOfOneSnapshotOnly) {
  FakeNode one = repository_.file("one", "x");
  one.inode = 7;
  one.device_id = 8;
  one.links = 2;
  FakeNode two = one;
  two.name = "two";
  FakeNode forged = repository_.file("three", "y");
  forged.inode = 7;
  forged.device_id = 8;
  forged.links = 2;
  add_snapshot({one, two, forged}, kFirstTime);
  add_snapshot({one}, kFirstTime + 60);
  const auto inode = [this](const std::string& time, const std::string& name) {
    return walk({"snapshots", time, name})->attributes.st_ino;
  };
  const std::string first = "2024-01-01T12:00:00Z", second = "2024-01-01T12:01:00Z";
  EXPECT_EQ(inode(first, "one"), inode(first, "two"));
  EXPECT_NE(inode(first, "one"), inode(first, "three"));
  EXPECT_NE(inode(first, "one"), inode(second, "one"));
  EXPECT_EQ(walk({"snapshots", first, "one"})->attributes.st_nlink, 2U);
}

TEST_F(VfsTest, CountsSubfoldersInTheLinksOfAFolder) {
  add_snapshot({repository_.folder("a", {repository_.folder("b", {}), repository_.folder("c", {})})});
  EXPECT_EQ(walk({"snapshots", "2024-01-01T12:00:00Z", "a"})->attributes.st_nlink, 4U);
  EXPECT_EQ(walk({"hosts"})->attributes.st_nlink, 3U);
}

TEST_F(VfsTest, ListsEveryEntryOnceWhateverTheBufferSize) {
  std::vector<FakeNode> nodes;
  std::vector<std::string> expected{".", ".."};
  for (int at = 100; at < 350; ++at) {
    nodes.push_back(repository_.file("f" + std::to_string(at), ""));
    expected.push_back("f" + std::to_string(at));
  }
  add_snapshot(std::move(nodes));
  const NodeId folder = node({"snapshots", "2024-01-01T12:00:00Z"});
  for (const std::size_t batch : {1, 2, 3, 7, 1000}) {
    EXPECT_EQ(names(folder, batch, false), expected);
    EXPECT_EQ(names(folder, batch, true), expected);
  }
}

TEST_F(VfsTest, HoldsWhatWasListedUntilItIsForgotten) {
  std::vector<FakeNode> nodes;
  for (int at = 0; at < 100; ++at) nodes.push_back(repository_.file(std::to_string(at), ""));
  add_snapshot(std::move(nodes));
  const NodeId folder = node({"snapshots", "2024-01-01T12:00:00Z"});
  const std::size_t before = vfs().known_nodes();
  names(folder, 10, false);
  EXPECT_EQ(vfs().known_nodes(), before);
  names(folder, 10, true);
  EXPECT_EQ(vfs().known_nodes(), before + 100);
  for (const auto held : held_) vfs().forget(held, 1);
  EXPECT_EQ(vfs().known_nodes(), before);
}

TEST_F(VfsTest, KeepsNodesWhenTheirTreesAreEvicted) {
  add_snapshot({repository_.folder("a", {repository_.folder("b", {repository_.file("c", "deep")})})});
  const NodeId file = node({"snapshots", "2024-01-01T12:00:00Z", "a", "b", "c"});
  repository_.drop_caches();
  EXPECT_EQ(vfs().attributes(file)->attributes.st_size, 4);
  EXPECT_EQ(content(file), "deep");
}

TEST_F(VfsTest, AsksForTheTreesOfSubfoldersWhenAFolderIsListed) {
  const FakeNode sub = repository_.folder("sub", {repository_.file("x", "")});
  add_snapshot({sub, repository_.file("y", "")});
  EXPECT_THAT(repository_.trees_ahead(), IsEmpty());
  names(node({"snapshots", "2024-01-01T12:00:00Z"}));
  EXPECT_THAT(repository_.trees_ahead(), ElementsAre(*sub.subtree));
}

TEST_F(VfsTest, ListingFetchesNoTreeOfAnEntry) {
  const FakeNode sub = repository_.folder("sub", {repository_.folder("deeper", {})});
  add_snapshot({sub});
  const NodeId folder = node({"snapshots", "2024-01-01T12:00:00Z"});
  names(folder, 100, true);
  EXPECT_THAT(repository_.trees_fetched(), Not(Contains(*sub.subtree)));
  // The kernel may not keep a link count that nobody knows, and gets it when it asks.
  EXPECT_EQ(vfs().attributes(held_.front())->attributes.st_nlink, 3U);
}

TEST_F(VfsTest, AnOutageIsAFailureAndNotAnAbsence) {
  add_snapshot({repository_.folder("a", {repository_.file("b", "x")})});
  const NodeId folder = node({"snapshots", "2024-01-01T12:00:00Z", "a"});
  repository_.drop_caches();
  repository_.fail_with(Error(Errc::Unavailable, "no network"));
  EXPECT_EQ(reason([&] { vfs().lookup(folder, "b"); }), Errc::Unavailable);
  EXPECT_EQ(reason([&] { vfs().open_dir(folder); }), Errc::Unavailable);
  EXPECT_EQ(reason([&] { vfs().attributes(folder); }), Errc::Unavailable);
  repository_.fail_with(std::nullopt);
  EXPECT_TRUE(vfs().lookup(folder, "b"));
}

TEST_F(VfsTest, AFolderWithoutATreeCanBeSeenAndNotEntered) {
  FakeNode broken;
  broken.name = "broken";
  broken.type = repo::NodeType::Dir;
  FakeNode lost = broken;
  lost.name = "lost";
  lost.subtree = FakeRepository::made_up_id(999'999);
  add_snapshot({broken, lost, repository_.file("fine", "x")});
  const NodeId snapshot = node({"snapshots", "2024-01-01T12:00:00Z"});
  EXPECT_THAT(names(snapshot, 100, true), ElementsAre(".", "..", "broken", "fine", "lost"));
  EXPECT_EQ(reason([&] {
              vfs().open_dir(node({"snapshots", "2024-01-01T12:00:00Z", "broken"}));
            }),
            Errc::Damaged);
  EXPECT_EQ(reason([&] {
              vfs().open_dir(node({"snapshots", "2024-01-01T12:00:00Z", "lost"}));
            }),
            Errc::NotFound);
  EXPECT_EQ(content(node({"snapshots", "2024-01-01T12:00:00Z", "fine"})), "x");
}

TEST_F(VfsTest, LooksIntoTheNewestIndexBeforeItGivesAFileUp) {
  FakeNode torn;
  torn.name = "torn";
  torn.content = {FakeRepository::made_up_id(999'999)};
  add_snapshot({torn});
  const NodeId file = node({"snapshots", "2024-01-01T12:00:00Z", "torn"});
  EXPECT_EQ(reason([&] { vfs().open_file(file); }), Errc::Damaged);
  EXPECT_EQ(repository_.index_refreshes(), 1U);
  EXPECT_EQ(reason([&] { vfs().open_file(file); }), Errc::Damaged);
  EXPECT_EQ(repository_.index_refreshes(), 1U);  // not for every open
}

TEST_F(VfsTest, ShowsNamesTheKernelCanTakeOnly) {
  add_snapshot({repository_.file(std::string(1024, 'x'), ""), repository_.file(std::string(1025, 'x'), "")});
  EXPECT_EQ(names(node({"snapshots", "2024-01-01T12:00:00Z"})).size(), 3U);
  EXPECT_FALSE(walk({"snapshots", "2024-01-01T12:00:00Z", std::string(1025, 'x')}));
}

TEST_F(VfsTest, RefusesALinkThatIsTooLong) {
  FakeNode link;
  link.name = "link";
  link.type = repo::NodeType::Symlink;
  link.link_target = std::string(4096, 'x');
  add_snapshot({link});
  EXPECT_EQ(reason([&] {
              vfs().read_link(node({"snapshots", "2024-01-01T12:00:00Z", "link"}));
            }),
            Errc::Damaged);
}

TEST_F(VfsTest, ServesExtendedAttributesAndAclsAsRecorded) {
  FakeNode file = repository_.file("file", "");
  const std::string acl("\2\0\0\0\1\0\6\0", 8);
  file.xattrs = {
      {"system.posix_acl_access", acl}, {"user.x", ""}, {std::string("user.\0bad", 9), "x"}, {"", "x"}};
  add_snapshot({file});
  const NodeId seen = node({"snapshots", "2024-01-01T12:00:00Z", "file"});
  EXPECT_THAT(vfs().xattr_names(seen), ElementsAre("system.posix_acl_access", "user.x"));
  EXPECT_EQ(vfs().xattr(seen, "system.posix_acl_access"), acl);
  EXPECT_EQ(vfs().xattr(seen, "user.x"), "");
  EXPECT_EQ(vfs().xattr(seen, "user.y"), std::nullopt);
  EXPECT_THAT(vfs().xattr_names(kRootNode), IsEmpty());
}

TEST_F(VfsTest, ShowsTheOwnersTheUserAskedFor) {
  options_.uid = 1000;
  options_.umask = 077;
  options_.meta_gid = 5;
  add_snapshot({repository_.file("file", "")});
  const auto file = walk({"snapshots", "2024-01-01T12:00:00Z", "file"})->attributes;
  EXPECT_EQ(file.st_uid, 1000U);
  EXPECT_EQ(file.st_mode & 07777U, 0600U);
  EXPECT_EQ(walk({"snapshots", "2024-01-01T12:00:00Z"})->attributes.st_mode & 07777U, 0500U);
  EXPECT_EQ(walk({"snapshots"})->attributes.st_gid, 5U);
}

TEST_F(VfsTest, MakesATextFileAnewAtEachOpen) {
  int opened = 0;
  vfs().add_text_file({".status", [&opened] { return "opened " + std::to_string(++opened); }});
  const NodeId status = node({".status"});
  EXPECT_EQ(content(status), "opened 1");
  EXPECT_EQ(content(status), "opened 2");
  const auto open = vfs().open_file(status);
  EXPECT_FALSE(vfs().content_is_final(*open));
  EXPECT_THAT(names(kRootNode), Contains(".status"));
}

TEST_F(VfsTest, ShowsInTheRootWhatOthersServe) {
  Entry other;
  other.node = NodeId{1} << 63U;
  other.attributes.st_mode = S_IFDIR | 0755;
  vfs().add_root_entry({"new", [other] { return other; }});
  EXPECT_EQ(node({"new"}), other.node);
  EXPECT_THAT(names(kRootNode, 2, true),
              UnorderedElementsAre(".", "..", "new", "ids", "snapshots", "hosts", "tags"));
  EXPECT_THAT(held_, Contains(other.node));
}

TEST_F(VfsTest, TellsWhichNamesChangedWhereTheKernelLooked) {
  add_snapshot({}, kFirstTime);
  node({"snapshots"});
  std::vector<std::pair<NodeId, std::string>> changed;
  vfs().start([&](NodeId folder, const std::string& name) { changed.emplace_back(folder, name); });
  add_snapshot({}, kFirstTime + 60);
  vfs().load_snapshots();
  const NodeId snapshots = node({"snapshots"});
  EXPECT_THAT(changed, UnorderedElementsAre(std::pair(snapshots, std::string("latest")),
                                            std::pair(snapshots, std::string("2024-01-01T12:01:00Z"))));
  changed.clear();
  vfs().load_snapshots();
  EXPECT_THAT(changed, IsEmpty());
}

TEST_F(VfsTest, GivesANameAnotherNodeWhenItMeansAnotherSnapshot) {
  const auto first = add_snapshot({repository_.file("which", "first")}, kFirstTime);
  add_snapshot({repository_.file("which", "second")}, kFirstTime);
  const NodeId before = node({"snapshots", "2024-01-01T12:00:00Z"});
  repository_.remove_snapshot(first);
  vfs().load_snapshots();
  const NodeId after = node({"snapshots", "2024-01-01T12:00:00Z"});
  EXPECT_NE(after, before);
  EXPECT_EQ(content(vfs().lookup(after, "which")->node), "second");
  EXPECT_EQ(content(vfs().lookup(before, "which")->node), "first");  // whoever is inside stays
  EXPECT_TRUE(vfs().attributes(before));
}

TEST_F(VfsTest, AFolderThatHasGoneIsGone) {
  repo::Snapshot tagged;
  tagged.id = FakeRepository::made_up_id(1);
  tagged.tags = {"t"};
  tagged.tree = repository_.add_tree({});
  repository_.add_snapshot(tagged);
  const NodeId folder = node({"tags", "t"});
  repository_.remove_snapshot(tagged.id);
  vfs().load_snapshots();
  EXPECT_FALSE(vfs().attributes(folder));
  EXPECT_EQ(vfs().open_dir(folder), nullptr);
}

TEST_F(VfsTest, SaysHowMuchTheRepositoryHolds) {
  repository_.add_blob(std::string(10'000, 'x'));
  EXPECT_EQ(vfs().statistics().f_blocks, 3U);
  EXPECT_EQ(vfs().statistics().f_bfree, 0U);
}

}  // namespace
}  // namespace restic::fs
