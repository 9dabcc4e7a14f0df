// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "support/fake_backend.h"
#include "support/index_material.h"
#include "support/made_repository.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using transport::FileType;

// Lines that damage what goes through them: whatever a repository keeps in small files is asked for twice.
class DamagedArrivalTest : public testing::Test {
 protected:
  Id put_snapshot(const std::string& rest = "") {
    const Id tree = test::numbered_id(1);
    const std::string json = R"({"time":"2020-01-01T00:00:00Z","tree":")" + tree.hex() +
                             R"(","paths":["/a"],"hostname":"h")" + rest + "}";
    return put_sealed(seal_file(made_.repository().crypto(), 2, FileType::Snapshot, json));
  }
  Id put_sealed(const Bytes& sealed) {
    const Id id = Id::of(sealed);
    made_.backend().put({FileType::Snapshot, id.hex()}, sealed);
    return id;
  }
  // Damages the first `times` loads of every file.
  void damage(int times) {
    made_.backend().set_hook([this, times](const Call& call) -> Fault {
      if (call.kind != Call::Kind::Load) return {};
      const std::lock_guard lock(mutex_);
      const bool bad = ++loads_[call.file.path()] <= times;
      return {.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = bad};
    });
  }

  test::MadeRepository made_;
  std::mutex mutex_;
  std::map<std::string, int> loads_;
};

TEST_F(DamagedArrivalTest, OnceIsNoMatter) {
  const Id id = put_snapshot();
  damage(1);
  const auto repository = made_.open_again();
  const SnapshotList list = repository->snapshots_at_open();
  ASSERT_EQ(list.snapshots.size(), 1U);
  EXPECT_EQ(list.snapshots[0].id, id);
  EXPECT_TRUE(list.unreadable.empty());
  EXPECT_EQ(made_.log().last_problem(), "");
}

TEST_F(DamagedArrivalTest, ASnapshotThatStaysBadIsAskedForTwiceAndThenOnceALoad) {
  const Id id = put_snapshot();
  const auto repository = made_.open_again();
  made_.backend().put({FileType::Snapshot, Id{}.hex()}, Bytes(100));
  made_.backend().forget_calls();
  for (const std::size_t loads : {2U, 3U, 4U}) {
    const SnapshotList list = repository->snapshots();
    ASSERT_EQ(list.snapshots.size(), 1U);
    EXPECT_EQ(list.snapshots[0].id, id);
    EXPECT_EQ(list.unreadable, std::vector<Id>{Id{}});
    EXPECT_EQ(made_.backend().count(Call::Kind::Load, FileType::Snapshot), loads);
  }
}

TEST_F(DamagedArrivalTest, ASnapshotThatGrowsWithoutEndWhenItIsUnpackedHidesNoOther) {
  const Id good = put_snapshot();
  const Id bomb = put_snapshot(",\"x\":\"" + std::string(kMaxSmallSealedFile, 'x') + "\"");
  const SnapshotList list = made_.open_again()->snapshots_at_open();
  ASSERT_EQ(list.snapshots.size(), 1U);
  EXPECT_EQ(list.snapshots[0].id, good);
  EXPECT_EQ(list.unreadable, std::vector<Id>{bomb});
}

}  // namespace
}  // namespace restic::repo
