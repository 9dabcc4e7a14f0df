// SPDX-License-Identifier: MIT
#include "fs/neighbourhood.h"

#include <gtest/gtest.h>

#include <set>

#include "fs/inode_number.h"
#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using test::FakeNode;
using test::FakeRepository;

class NeighbourhoodTest : public ::testing::Test {
 protected:
  std::vector<FakeNode> files(std::size_t count, std::size_t bytes) {
    std::vector<FakeNode> nodes;
    for (std::size_t at = 0; at < count; ++at) {
      nodes.push_back(repository_.file(std::to_string(10'000 + at), std::string(bytes, 'x')));
    }
    return nodes;
  }
  // Makes a folder that the kernel holds, as the root of a snapshot; inode 0: a number of its own.
  NodeId root(std::vector<FakeNode> nodes, std::uint64_t inode = 0) {
    NodeRef ref;
    ref.kind = NodeKind::Snapshot;
    ref.parent = 1;
    ref.place = ++roots_;
    ref.inode = inode == 0 ? roots_ : inode;
    ref.dir.tree = repository_.add_tree(std::move(nodes));
    ref.dir.snapshot_inode = ref.inode;
    return nodes_.acquire(ref);
  }
  // The subfolder of that name, looked up by the kernel.
  NodeId child(NodeId parent, const std::string& name) {
    NodeRef ref = *nodes_.get(parent);
    const auto tree = repository_.tree(ref.dir.tree);
    const std::size_t position = tree->find(name).value();
    ref.dir.tree = tree->node(position).subtree.value();
    ref.inode = child_inode(ref.inode, name);
    ref.kind = NodeKind::Dir;
    ref.parent = parent;
    ref.place = static_cast<std::uint32_t>(position);
    return nodes_.acquire(ref);
  }
  repo::TreePtr tree_of(NodeId folder) { return repository_.tree(nodes_.get(folder)->dir.tree); }
  void open(NodeId folder, std::size_t position) {
    neighbourhood_.opened(folder, tree_of(folder), static_cast<std::uint32_t>(position));
  }
  std::vector<std::uint32_t> order(NodeId folder, WalkOrder order) {
    const auto ref = *nodes_.get(folder);
    return walk_order({tree_of(folder), {ref.inode, ref.dir.tree}, ref.dir.snapshot_inode}, order);
  }
  std::size_t asked() const {
    std::set<repo::Id> ids;
    std::size_t count = 0;
    for (const auto& request : repository_.requests()) {
      EXPECT_EQ(request.urgency, transport::Urgency::Ahead);
      ids.insert(request.ids.begin(), request.ids.end());
      count += request.ids.size();
    }
    EXPECT_EQ(ids.size(), count) << "a file was asked for twice";
    return count;
  }

  FakeRepository repository_;
  NodeTable nodes_;
  Neighbourhood neighbourhood_{repository_, nodes_};
  std::uint32_t roots_ = 100;
};

TEST_F(NeighbourhoodTest, CostsNothingForASingleFileOrJumps) {
  const NodeId folder = root(files(1000, 1000));
  for (const std::size_t position : {500, 100, 900, 300, 301, 50, 800, 10}) open(folder, position);
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(repository_.neighbour_requests(), 0U);
}

class NeighbourhoodInOrder : public NeighbourhoodTest, public ::testing::WithParamInterface<WalkOrder> {};

TEST_P(NeighbourhoodInOrder, StaysAheadOfAReader) {
  const NodeId folder = root(files(1000, 100'000));
  std::size_t opened = 0;
  for (const std::uint32_t position : order(folder, GetParam())) {
    if (opened == 500) break;
    open(folder, position);
    if (++opened > 3) {
      EXPECT_GT(asked(), opened - 3);
    }
  }
  EXPECT_LT(asked(), 500 + FileSweep::kLargestWindow / 100'000 + 2);
  EXPECT_GT(asked(), 500U);
}

INSTANTIATE_TEST_SUITE_P(Both, NeighbourhoodInOrder,
                         ::testing::Values(WalkOrder::ByName, WalkOrder::ByInode));

TEST_F(NeighbourhoodTest, AsksForLittleUntilTheReaderHasComeFar) {
  const NodeId folder = root(files(1000, 100'000));
  for (const std::size_t position : {0, 1, 2}) open(folder, position);
  EXPECT_GT(asked(), 0U);
  EXPECT_LE(asked(), FileSweep::kSmallestWindow / 100'000 + 1);
}

TEST_F(NeighbourhoodTest, AsksForAFolderOfTinyFilesInFewRequests) {
  const NodeId folder = root(files(1000, 100));
  for (std::size_t position = 0; position < 1000; ++position) open(folder, position);
  EXPECT_EQ(asked(), 997U);
  EXPECT_LE(repository_.requests().size(), 2U);
}

TEST_F(NeighbourhoodTest, FetchesTheNextFoldersBeforeTheReaderIsThere) {
  const NodeId top = root({repository_.folder("a", files(10, 1000)), repository_.folder("b", files(10, 1000)),
                           repository_.folder("c", {repository_.folder("d", files(10, 1000))})});
  for (const char* name : {"a", "b", "c"}) tree_of(child(top, name));
  tree_of(child(child(top, "c"), "d"));
  const NodeId first = child(top, "a");
  for (std::size_t position = 0; position < 3; ++position) open(first, position);
  EXPECT_EQ(asked(), 7 + 10 + 10U);
}

TEST_F(NeighbourhoodTest, AsksForTheTreeThatItStopsBeforeAndGoesOnOnceItIsThere) {
  const NodeId top = root({repository_.folder("a", files(10, 1000)), repository_.folder("b", files(10, 1000)),
                           repository_.folder("c", files(10, 1000))});
  const NodeId first = child(top, "a"), second = child(top, "b"), third = child(top, "c");
  repository_.drop_caches();
  tree_of(top);
  for (std::size_t position = 0; position < 3; ++position) open(first, position);
  EXPECT_EQ(asked(), 7U);
  EXPECT_EQ(repository_.trees_ahead(),
            (std::vector{nodes_.get(second)->dir.tree, nodes_.get(third)->dir.tree}));
  for (std::size_t position = 3; position < 10; ++position) open(first, position);
  tree_of(third);
  open(second, 0);
  EXPECT_EQ(asked(), 7 + 10 + 10U);
}

TEST_F(NeighbourhoodTest, KnowsTwoReadersApart) {
  const NodeId one = root(files(200, 100'000)), other = root(files(200, 100'000));
  for (std::size_t position = 0; position < 100; ++position) {
    open(one, position);
    open(other, position);
  }
  EXPECT_GT(asked(), 2 * 100U);
}

TEST_F(NeighbourhoodTest, FollowsAReaderWhoLeavesFilesOut) {
  const NodeId folder = root(files(1000, 10'000));
  for (std::size_t position = 0; position < 1000; position += 7) open(folder, position);
  EXPECT_GT(asked(), 900U);
}

TEST_F(NeighbourhoodTest, KnowsFoldersApartThatHaveTheSameNumber) {
  const NodeId small = root(files(4, 1000), 77);
  const NodeId large = root(files(60'000, 10), 77);
  for (std::size_t position = 0; position < 2; ++position) open(small, position);
  for (const std::size_t position : {59'000, 100, 58'000, 300}) open(large, position);
  EXPECT_EQ(asked(), 0U);
}

TEST_F(NeighbourhoodTest, GivesUpOnFoldersThatReferToEachOtherWithoutEnd) {
  FakeNode both = repository_.folder("x", {});
  for (std::size_t level = 0; level < FileWalk::kMostLevels - 2; ++level) {
    FakeNode twin = both;
    twin.name = "y";
    both = repository_.folder("x", {both, twin});
    repository_.tree(both.subtree.value());
  }
  std::vector<FakeNode> nodes = files(4, 10);
  both.name = "z";
  nodes.push_back(both);
  const NodeId folder = root(nodes);
  for (std::size_t position = 0; position < 4; ++position) open(folder, position);
  EXPECT_EQ(asked(), 1U);
}

TEST_F(NeighbourhoodTest, FetchesOnlyTheBeginningOfLargeFiles) {
  std::vector<FakeNode> nodes;
  for (int at = 0; at < 4; ++at) {
    FakeNode node;
    node.name = std::to_string(at);
    for (int blob = 0; blob < 100; ++blob) node.content.push_back(repository_.add_blob("x"));
    node.size = 100'000'000;
    nodes.push_back(node);
  }
  const NodeId folder = root(nodes);
  for (std::size_t position = 0; position < 3; ++position) open(folder, position);
  EXPECT_EQ(asked(), 1U);
}

}  // namespace
}  // namespace restic::fs
