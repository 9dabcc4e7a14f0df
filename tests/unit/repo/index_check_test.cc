// SPDX-License-Identifier: MIT
#include "repo/index_check.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>

#include "repo/blob_writer.h"
#include "repo/tree_writer.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"

namespace restic::repo {
namespace {

// A tree `outer` with a folder `inner` that has one file.
class IndexCheckTest : public testing::Test {
 protected:
  Id store_tree(BlobWriter& writer, const Node& node) {
    TreeWriter tree(zone_);
    tree.add(node);
    return writer.store(BlobType::Tree, as_bytes(tree.finish())).id;
  }
  Id store(bool with_content, bool with_inner) {
    const auto allowed = [] { return Status(Unit{}); };
    BlobWriter writer(made_.repository(), budget_, spool_, clock_, allowed);
    const Id content[] = {Id::of(as_bytes("content"))};
    if (with_content) writer.store(BlobType::Data, as_bytes("content"));
    Node file;
    file.name = "file";
    file.content = content;
    Node inner;
    inner.name = "inner";
    inner.type = NodeType::Dir;
    inner.subtree = with_inner ? store_tree(writer, file) : Id::of(as_bytes("elsewhere"));
    const Id outer = store_tree(writer, inner);
    writer.flush({});
    made_.repository().refresh_index();
    return outer;
  }
  bool check(const Id& tree, const std::stop_token& stop = {}, Unreadable unreadable = Unreadable::Missing) {
    return has_everything(made_.repository(), *made_.repository().index(), tree, unreadable, stop);
  }
  void drop_packs() {
    for (const std::string& name : made_.backend().names(transport::FileType::Pack)) {
      made_.backend().drop({transport::FileType::Pack, name});
    }
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  MemoryBudget budget_{64U << 20U};
  PackSpool spool_{-1, made_.repository().log()};
  const FixedZone zone_{0};
};

TEST_F(IndexCheckTest, FindsEverything) { EXPECT_TRUE(check(store(true, true))); }

TEST_F(IndexCheckTest, MissesContentOfAFileFarBelow) { EXPECT_FALSE(check(store(false, true))); }

TEST_F(IndexCheckTest, MissesATree) {
  EXPECT_FALSE(check(store(true, false)));
  EXPECT_FALSE(check(Id::of(as_bytes("no tree"))));
}

TEST_F(IndexCheckTest, ATreeWhosePackIsGoneIsMissingWhateverTheIndexSays) {
  const Id tree = store(true, true);
  drop_packs();
  EXPECT_FALSE(check(tree));
}

TEST_F(IndexCheckTest, ATreeWhosePackIsGoneIsAFailureForThoseWhoWouldStoreItAgain) {
  const Id tree = store(true, true);
  drop_packs();
  try {
    check(tree, {}, Unreadable::Failure);
    FAIL() << "it passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_NE(std::string(error.what()).find("restic repair index"), std::string::npos) << error.what();
  }
}

TEST_F(IndexCheckTest, WhatIsNotInTheIndexIsNoFailure) {
  EXPECT_FALSE(check(store(true, false), {}, Unreadable::Failure));
}

TEST_F(IndexCheckTest, AnOutageIsNoAnswer) {
  const Id tree = store(true, true);
  made_.backend().set_hook([](const test::Call& call) -> test::Fault {
    return call.kind == test::Call::Kind::LoadRange ? test::fail_with(Errc::Timeout) : test::Fault{};
  });
  EXPECT_THROW(check(tree), Error);
}

TEST_F(IndexCheckTest, StopsWhenAskedTo) {
  const Id tree = store(true, true);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(check(tree, stop.get_token()), Error);
}

TEST_F(IndexCheckTest, StopsWhileTheStorageDoesNotAnswer) {
  const Id tree = store(true, true);
  made_.backend().set_hook([](const test::Call& call) -> test::Fault {
    test::Fault fault;
    fault.hang = call.kind == test::Call::Kind::LoadRange;
    return fault;
  });
  std::stop_source stop;
  auto answer = std::async(std::launch::async, [&] { return check(tree, stop.get_token()); });
  made_.backend().wait_for_hung(1);
  stop.request_stop();
  const bool stopped = answer.wait_for(std::chrono::seconds(60)) == std::future_status::ready;
  EXPECT_TRUE(stopped);
  if (!stopped) {
    made_.backend().set_hook({});
    made_.backend().release_hung();
  }
  EXPECT_THROW(answer.get(), Error);
}

TEST_F(IndexCheckTest, WorksForWritersWhenReadersAreToldToStop) {
  const Id tree = store(true, true);
  made_.repository().stop_reading();
  EXPECT_TRUE(check(tree));
}

}  // namespace
}  // namespace restic::repo
