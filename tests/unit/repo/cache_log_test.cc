// SPDX-License-Identifier: MIT
#include "repo/cache_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "repo/local_cache.h"
#include "repo/tree_log.h"
#include "support/index_material.h"
#include "support/pack_material.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using test::numbered_content;
using test::numbered_id;

class CacheLogTest : public testing::Test {
 protected:
  std::unique_ptr<CacheLog> open(std::uint64_t budget) { return cache_.open_log("trees", budget); }
  std::string path(const std::string& name) const {
    return temporary_.file("cache") + "/" + numbered_id(7).hex() + "/" + name;
  }
  static BlobPtr blob(std::size_t size) {
    auto bytes = std::make_shared<Bytes>(numbered_content(1, size));
    return std::make_shared<const Blob>(Blob{bytes, *bytes, size});
  }

  test::TemporaryFolder temporary_;
  Log log_{Log::Sink::Nothing};
  Crypto crypto_{test::test_key()};
  LocalCache cache_{temporary_.file("cache"), numbered_id(7), crypto_, log_};
};

TEST_F(CacheLogTest, ASmallerBudgetHoldsAtOnce) {
  {
    const auto log = open(1U << 20U);
    for (std::uint32_t i = 0; i < 100; ++i) log->put(numbered_id(i), numbered_content(i, 1000));
  }
  const auto log = open(20000);
  EXPECT_LE(std::filesystem::file_size(path("trees.log")), 20000U);
  EXPECT_TRUE(log->get(numbered_id(99)));
  EXPECT_FALSE(log->get(numbered_id(0)));
}

TEST_F(CacheLogTest, WhatWasUsedOutlivesTheRestAlsoAtTheNextMount) {
  constexpr std::uint64_t kBudget = 100000;  // nearly a hundred records
  std::uint32_t next = 0;
  {
    const auto log = open(kBudget);
    while (next < 100) {  // it is written anew once
      log->put(numbered_id(next), numbered_content(next, 1000));
      ++next;
      EXPECT_TRUE(log->get(numbered_id(0)));
    }
  }
  const auto log = open(kBudget);
  while (next < 140) {  // and once more
    log->put(numbered_id(next), numbered_content(next, 1000));
    ++next;
  }
  EXPECT_TRUE(log->get(numbered_id(0)));
  EXPECT_TRUE(log->get(numbered_id(139)));
  EXPECT_FALSE(log->get(numbered_id(30)));
}

TEST_F(CacheLogTest, WhatACrashLeftOfARewriteIsRemoved) {
  open(1U << 20U)->put(numbered_id(1), numbered_content(1, 1000));
  std::ofstream(path("trees.tmp")) << std::string(1000, 'x');
  const auto log = open(1U << 20U);
  EXPECT_FALSE(std::filesystem::exists(path("trees.tmp")));
  EXPECT_TRUE(log->get(numbered_id(1)));
}

TEST_F(CacheLogTest, ALargeTreeIsKeptToo) {
  const BlobPtr large = blob(TreeLog::kMostWaiting + 1000);
  { TreeLog(open(64U << 20U)).put(numbered_id(1), large); }
  TreeLog trees(open(64U << 20U));
  const std::optional<Bytes> kept = trees.get(numbered_id(1));
  ASSERT_TRUE(kept);
  EXPECT_TRUE(std::equal(kept->begin(), kept->end(), large->bytes.begin(), large->bytes.end()));
}

TEST_F(CacheLogTest, ATreeThatIsTooLargeForTheBudgetIsNotWritten) {
  { TreeLog(open(1U << 20U)).put(numbered_id(1), blob(800U << 10U)); }
  EXPECT_EQ(open(1U << 20U)->stats().records, 0U);
  EXPECT_EQ(log_.last_problem(), "");
}

}  // namespace
}  // namespace restic::repo
