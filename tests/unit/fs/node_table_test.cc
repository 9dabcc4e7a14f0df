// SPDX-License-Identifier: MIT
#include "fs/node_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

namespace restic::fs {
namespace {

NodeRef leaf(NodeId parent, std::uint32_t place) {
  NodeRef ref;
  ref.kind = NodeKind::Leaf;
  ref.parent = parent;
  ref.place = place;
  ref.inode = parent * 1000 + place;
  return ref;
}

NodeRef folder(NodeId parent, std::uint32_t place) {
  NodeRef ref = leaf(parent, place);
  ref.kind = NodeKind::Dir;
  ref.dir.snapshot_inode = 77;
  ref.dir.tree.bytes[0] = static_cast<std::uint8_t>(place);
  return ref;
}

TEST(NodeTable, GivesOneNodeToOnePlace) {
  NodeTable table;
  const NodeId first = table.acquire(leaf(kRootNode, 5));
  EXPECT_EQ(table.acquire(leaf(kRootNode, 5)), first);
  EXPECT_NE(table.acquire(leaf(kRootNode, 6)), first);
  EXPECT_EQ(table.size(), 3U);
  EXPECT_EQ(table.get(first)->inode, kRootNode * 1000 + 5);
}

TEST(NodeTable, KeepsANodeUntilEveryLookupIsForgotten) {
  NodeTable table;
  const NodeId node = table.acquire(leaf(kRootNode, 5));
  table.acquire(leaf(kRootNode, 5));
  table.acquire(leaf(kRootNode, 5));
  table.forget(node, 2);
  EXPECT_TRUE(table.get(node));
  table.forget(node, 1);
  EXPECT_FALSE(table.get(node));
  EXPECT_FALSE(table.find(kRootNode, 5));
}

TEST(NodeTable, KeepsAFolderForAsLongAsItsChildren) {
  NodeTable table;
  const NodeId parent = table.acquire(folder(kRootNode, 1));
  const NodeId child = table.acquire(leaf(parent, 2));
  table.forget(parent, 1);
  ASSERT_TRUE(table.get(parent));
  EXPECT_EQ(table.get(parent)->dir.tree.bytes[0], 1);
  table.forget(child, 1);
  EXPECT_FALSE(table.get(parent));
  EXPECT_EQ(table.size(), 1U);
}

TEST(NodeTable, UsesNumbersAgain) {
  NodeTable table;
  NodeId largest = 0;
  for (std::uint32_t round = 0; round < 1000; ++round) {
    const NodeId node = table.acquire(folder(kRootNode, round));
    largest = std::max(largest, node);
    table.forget(node, 1);
  }
  EXPECT_EQ(largest, kRootNode + 1);
}

TEST(NodeTable, SurvivesForgetsThatMakeNoSense) {
  NodeTable table;
  const NodeId node = table.acquire(leaf(kRootNode, 5));
  table.forget(node, 1000);
  table.forget(node, 1);
  table.forget(123456, 1);
  table.forget(0, 1);
  table.forget(kRootNode, 1000);
  EXPECT_TRUE(table.get(kRootNode));
  EXPECT_EQ(table.size(), 1U);
}

// The table against a plain map, through every mixture of making and forgetting.
TEST(NodeTable, AgreesWithAMapOverManyOperations) {
  NodeTable table;
  std::map<std::uint32_t, std::pair<NodeId, std::uint64_t>> model;
  std::mt19937 random(1);
  for (int step = 0; step < 200'000; ++step) {
    const auto place = static_cast<std::uint32_t>(random() % 5000);
    auto& [node, lookups] = model[place];
    if (random() % 2 == 0) {
      const NodeId acquired = table.acquire(leaf(kRootNode, place));
      if (lookups > 0) {
        ASSERT_EQ(acquired, node);
      }
      node = acquired;
      ++lookups;
    } else if (lookups > 0) {
      const std::uint64_t some = 1 + random() % lookups;
      table.forget(node, some);
      lookups -= some;
    }
    const auto found = table.find(kRootNode, place);
    ASSERT_EQ(found.has_value(), lookups > 0);
    if (found) {
      ASSERT_EQ(*found, node);
    }
  }
}

TEST(NodeTable, IsSharedByThreads) {
  NodeTable table;
  const auto churn = [&table] {
    for (std::uint32_t round = 0; round < 20'000; ++round) {
      const NodeId node = table.acquire(leaf(kRootNode, round % 100));
      if (!table.get(node)) ADD_FAILURE() << "a node in use vanished";
      table.forget(node, 1);
    }
  };
  std::thread other(churn);
  churn();
  other.join();
  EXPECT_EQ(table.size(), 1U);
}

}  // namespace
}  // namespace restic::fs
