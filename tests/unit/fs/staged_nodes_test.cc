// SPDX-License-Identifier: MIT
#include "fs/staged_nodes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "support/temporary_folder.h"

namespace restic::fs {
namespace {

using namespace std::chrono_literals;

constexpr OpenMode kReads{.reads = true, .writes = false, .cached = true};
constexpr OpenMode kReadsAndWrites{.reads = true, .writes = true, .cached = true};
constexpr OpenMode kOnlyWrites{.reads = false, .writes = true, .cached = false};
constexpr OpenMode kOnlyWritesCached{.reads = false, .writes = true, .cached = true};

class StagedNodesTest : public testing::Test {
 protected:
  StagedNodePtr make_node() {
    struct stat status {};
    UniqueFd fd(::open(folder_.path().c_str(), O_PATH | O_CLOEXEC));
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return StagedNodes::make_top(std::move(fd), status);
  }

  test::TemporaryFolder folder_;
  StagedNodes nodes_{16};
  StagedNodePtr node_ = make_node();
};

TEST_F(StagedNodesTest, AFileWithTheInodeNumberOfOneInASealedTrayIsAnotherFile) {
  const StagedNodePtr earlier = make_node();
  const StagedNodePtr later = make_node();
  struct stat file {};
  file.st_dev = 1;
  file.st_ino = 7;
  const StagedNodePtr old = nodes_.remember(earlier, "a", file);
  nodes_.gate(earlier)->seal();
  EXPECT_EQ(nodes_.remember(earlier, "a", file), old);
  const StagedNodePtr fresh = nodes_.remember(later, "b", file);
  EXPECT_NE(fresh->id, old->id);
  EXPECT_EQ(nodes_.gate(fresh), nodes_.gate(later));
  EXPECT_EQ(nodes_.find(old->id), old);
  nodes_.forget(old->id, 2);
  EXPECT_EQ(nodes_.find(old->id), nullptr);
  EXPECT_EQ(nodes_.find(FileKey{1, 7}), fresh);
  EXPECT_EQ(nodes_.remember(later, "b", file), fresh);
}

TEST_F(StagedNodesTest, OnlyWhoOnlyWritesGoesPastTheCache) {
  EXPECT_TRUE(nodes_.opened(node_, kReads).cached);
  nodes_.closed(node_, kReads);
  EXPECT_TRUE(nodes_.opened(node_, kOnlyWritesCached).cached);
  nodes_.closed(node_, kOnlyWritesCached);
  EXPECT_FALSE(nodes_.written_uncached(node_));
  EXPECT_FALSE(nodes_.opened(node_, kOnlyWrites).cached);
  EXPECT_TRUE(nodes_.written_uncached(node_));
}

TEST_F(StagedNodesTest, NobodyGoesPastTheCacheThatSomebodyReadsFrom) {
  const OpenMode reader = nodes_.opened(node_, kReads);
  const OpenMode writer = nodes_.opened(node_, kOnlyWrites);
  EXPECT_TRUE(writer.cached);
  EXPECT_FALSE(nodes_.written_uncached(node_));
  nodes_.closed(node_, reader);
  nodes_.closed(node_, writer);
  EXPECT_FALSE(nodes_.opened(node_, kOnlyWrites).cached);
}

TEST_F(StagedNodesTest, NobodyReadsFromACacheThatSomebodyWritesPast) {
  const OpenMode writer = nodes_.opened(node_, kOnlyWrites);
  const OpenMode reader = nodes_.opened(node_, kReads);
  EXPECT_FALSE(reader.cached);
  const OpenMode both = nodes_.opened(node_, kReadsAndWrites);
  EXPECT_FALSE(both.cached);
  nodes_.closed(node_, writer);
  EXPECT_FALSE(nodes_.opened(node_, kReads).cached) << "the second still writes past it";
  nodes_.closed(node_, both);
  EXPECT_TRUE(nodes_.opened(node_, kReads).cached)
      << "who has no cache, and only reads, keeps nobody from it";
  EXPECT_TRUE(nodes_.written_uncached(node_)) << "what was cached before is old";
}

TEST_F(StagedNodesTest, TheCacheIsTrueAgainOnceAReaderHasHadItEmptied) {
  nodes_.closed(node_, nodes_.opened(node_, kOnlyWrites));
  EXPECT_TRUE(nodes_.written_uncached(node_));
  nodes_.closed(node_, nodes_.opened(node_, kReads), false);
  EXPECT_TRUE(nodes_.written_uncached(node_)) << "the kernel never had that reader";
  const OpenMode first = nodes_.opened(node_, kReads);
  nodes_.closed(node_, nodes_.opened(node_, kReads));
  EXPECT_TRUE(nodes_.written_uncached(node_)) << "the first may not have been told yet";
  nodes_.closed(node_, first);
  EXPECT_FALSE(nodes_.written_uncached(node_));
}

TEST_F(StagedNodesTest, AReaderWaitsForTheWriterThatIsBeingClosedAndOnceForOneThatStays) {
  int waits = 0;
  const auto waiting = [&] { ++waits; };
  nodes_.await_uncached_writers(node_, waiting);
  EXPECT_EQ(waits, 0) << "nobody writes";
  const OpenMode closing = nodes_.opened(node_, kOnlyWrites);
  std::thread closes;
  nodes_.await_uncached_writers(node_, [&] {
    ++waits;
    closes = std::thread([&] {
      std::this_thread::sleep_for(2ms);
      nodes_.closed(node_, closing);
    });
  });
  closes.join();
  EXPECT_EQ(waits, 1);
  EXPECT_TRUE(nodes_.opened(node_, kReads).cached);

  node_ = make_node();
  waits = 0;
  const OpenMode stays = nodes_.opened(node_, kOnlyWrites);
  const auto begin = std::chrono::steady_clock::now();
  nodes_.await_uncached_writers(node_, waiting);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
  nodes_.await_uncached_writers(node_, waiting);
  EXPECT_EQ(waits, 1);
  nodes_.closed(node_, stays);
  nodes_.opened(node_, kOnlyWrites);
  nodes_.await_uncached_writers(node_, waiting);
  EXPECT_EQ(waits, 2) << "another writer";
}

}  // namespace
}  // namespace restic::fs
