// SPDX-License-Identifier: MIT
#include "fs/inode_number.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/fake_repository.h"
#include "support/vectors.h"

namespace restic::fs {
namespace {

TEST(InodeNumber, IsTheOneThatResticMountShows) {
  for (const auto& known : test::Json::load("mount")["named"].items()) {
    EXPECT_EQ(child_inode(known["parent"].number(), known["name"].text()), known["inode"].number())
        << known["name"].text();
  }
}

TEST(InodeNumber, HashesAsResticHashesHardLinks) {
  for (const auto& known : test::Json::load("mount")["hardlinks"].items()) {
    const std::uint64_t pair[] = {known["device_id"].number(), known["node_inode"].number()};
    Bytes bytes(sizeof pair);
    std::memcpy(bytes.data(), pair, sizeof pair);
    EXPECT_EQ(xxh64(bytes), known["inode"].number());
  }
}

// Published checks of XXH64 with seed 0; the last one is longer than a stripe of 32 bytes.
TEST(InodeNumber, HashesEveryLengthAsXxh64Does) {
  EXPECT_EQ(xxh64({}), 0xef46db3751d8e999ULL);
  EXPECT_EQ(xxh64(as_bytes("a")), 0xd24ec4f1a98c6e5bULL);
  EXPECT_EQ(xxh64(as_bytes("abc")), 0x44bc2cf5ad770999ULL);
  EXPECT_EQ(xxh64(as_bytes("Nobody inspects the spammish repetition")), 0xfbcea83c8a378bf1ULL);
}

class HardLink : public ::testing::Test {
 protected:
  HardLink() {
    node_.inode = 42;
    node_.device_id = 7;
    node_.links = 2;
    node_.content = content_;
  }
  const std::vector<repo::Id> content_{test::FakeRepository::made_up_id(1)};
  const std::vector<repo::Id> other_content_{test::FakeRepository::made_up_id(2)};
  repo::Node node_;
};

TEST_F(HardLink, IsTheSameFileWhateverItsName) {
  repo::Node other = node_;
  other.name = "another name";
  EXPECT_EQ(hard_link_inode(5, node_), hard_link_inode(5, other));
}

TEST_F(HardLink, IsAnotherFileInAnotherSnapshot) {
  EXPECT_NE(hard_link_inode(5, node_), hard_link_inode(6, node_));
}

TEST_F(HardLink, IsAnotherFileWhenTheContentDiffersWhateverTheRecordedNumbers) {
  repo::Node forged = node_;
  forged.content = other_content_;
  EXPECT_NE(hard_link_inode(5, node_), hard_link_inode(5, forged));
}

}  // namespace
}  // namespace restic::fs
