// SPDX-License-Identifier: MIT
#include "fs/attributes.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/fake_repository.h"

namespace restic::fs {
namespace {

const Ownership kRecorded;

TEST(Attributes, TakeTheTypeFromTheTypeAndNotFromTheMode) {
  repo::Node node;
  node.type = repo::NodeType::File;
  node.mode = S_IFDIR | 04750;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_mode, S_IFREG | 04750U);
}

TEST(Attributes, HaveALinkAtLeast) {
  repo::Node node;
  node.links = 0;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_nlink, 1U);
  node.links = 3;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_nlink, 3U);
  node.type = repo::NodeType::Dir;
  EXPECT_EQ(attributes_of(node, 9, 5, kRecorded).st_nlink, 5U);
}

TEST(Attributes, KnowTheChunkOfZeros) {
  const Bytes zeros(kZeroChunkSize, 0);
  EXPECT_TRUE(is_zero_chunk(repo::Id::of(zeros)));
  EXPECT_FALSE(is_zero_chunk(repo::Id::of(ByteView(zeros).first(zeros.size() - 1))));
}

TEST(Attributes, CountNoBlocksForHoles) {
  const repo::Id hole = repo::Id::of(Bytes(kZeroChunkSize, 0));
  const std::vector<repo::Id> content{hole, test::FakeRepository::made_up_id(1), hole};
  repo::Node node;
  node.content = content;
  node.size = 2 * kZeroChunkSize + 1000;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_blocks, 2);
  node.content = std::span(content).subspan(1, 1);
  node.size = 513;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_blocks, 2);
  node.content = content;  // more holes than the size has room for
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_blocks, 0);
}

TEST(Attributes, KeepAbsurdSizesWithinWhatTheKernelTakes) {
  repo::Node node;
  node.size = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_size, std::numeric_limits<off_t>::max());
  node.mtime.nanoseconds = 4'000'000'000U;
  EXPECT_EQ(attributes_of(node, 9, 2, kRecorded).st_mtim.tv_nsec, 999'999'999);
}

TEST(Attributes, ShowTheOwnerAndModeThatTheUserAskedFor) {
  repo::Node node;
  node.uid = 1;
  node.gid = 2;
  node.mode = 04777;
  const auto seen = attributes_of(node, 9, 2, {1000, std::nullopt, 027});
  EXPECT_EQ(seen.st_uid, 1000U);
  EXPECT_EQ(seen.st_gid, 2U);
  EXPECT_EQ(seen.st_mode, S_IFREG | 04750U);
}

}  // namespace
}  // namespace restic::fs
