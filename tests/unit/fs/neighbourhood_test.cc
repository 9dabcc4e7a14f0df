// SPDX-License-Identifier: MIT
#include "fs/neighbourhood.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using test::FakeNode;
using test::FakeRepository;

class NeighbourhoodTest : public ::testing::Test {
 protected:
  repo::TreePtr folder_of(std::size_t files, std::size_t bytes) {
    std::vector<FakeNode> nodes;
    for (std::size_t at = 0; at < files; ++at) {
      nodes.push_back(repository_.file(std::to_string(10'000 + at), std::string(bytes, 'x')));
    }
    return repository_.tree(repository_.add_tree(std::move(nodes)));
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
  Neighbourhood neighbourhood_{repository_.blobs()};
};

TEST_F(NeighbourhoodTest, CostsNothingForASingleFileOrJumps) {
  const auto tree = folder_of(1000, 1000);
  for (const std::size_t position : {500, 100, 900, 300, 301, 50, 800, 10}) {
    neighbourhood_.opened(7, *tree, position);
  }
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(repository_.neighbour_requests(), 0U);
}

TEST_F(NeighbourhoodTest, StaysAheadOfAReaderWhoGoesFromFileToFile) {
  const auto tree = folder_of(1000, 100'000);
  for (std::size_t position = 0; position < 500; ++position) {
    neighbourhood_.opened(7, *tree, position);
    if (position > 3) {
      EXPECT_GT(asked(), position - 2);
    }
  }
  EXPECT_LT(asked(), 500 + 100U);
  EXPECT_GT(asked(), 500U);
}

TEST_F(NeighbourhoodTest, AsksForAFolderOfTinyFilesInFewRequests) {
  const auto tree = folder_of(1000, 100);
  for (std::size_t position = 0; position < 1000; ++position) neighbourhood_.opened(7, *tree, position);
  EXPECT_EQ(asked(), 997U);
  EXPECT_LE(repository_.requests().size(), 2U);
}

TEST_F(NeighbourhoodTest, TakesAWalkerIntoTheNextFolder) {
  const auto first = folder_of(10, 1000);
  const auto second = folder_of(10, 1000);
  for (std::size_t position = 0; position < 10; ++position) neighbourhood_.opened(7, *first, position);
  repository_.forget_requests();
  neighbourhood_.opened(8, *second, 0);
  EXPECT_EQ(asked(), 9U);
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
  const auto tree = repository_.tree(repository_.add_tree(nodes));
  for (std::size_t position = 0; position < 3; ++position) neighbourhood_.opened(7, *tree, position);
  EXPECT_EQ(asked(), 1U);
}

}  // namespace
}  // namespace restic::fs
