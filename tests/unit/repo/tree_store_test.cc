// SPDX-License-Identifier: MIT
#include "repo/tree_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "repo/local_cache.h"
#include "repo/pack_blob_reader.h"
#include "support/fake_clock.h"
#include "support/index_material.h"
#include "support/pack_material.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using transport::Urgency;

class TreeStoreTest : public testing::Test {
 protected:
  // A folder of the given subfolders; `salt` makes it a different one.
  Id add_folder(const std::vector<Id>& subtrees, const std::string& salt = "") {
    std::string json = R"({"nodes":[)";
    for (std::size_t i = 0; i < subtrees.size(); ++i) {
      std::string number = std::to_string(i);
      number.insert(0, 6 - number.size(), '0');
      json += i == 0 ? "" : ",";
      json += R"({"name":"d)" + number + salt +
              R"(","type":"dir","mode":2147484141,"mtime":"2020-01-01T00:00:00Z",)"
              R"("atime":"2020-01-01T00:00:00Z","ctime":"2020-01-01T00:00:00Z","uid":0,"gid":0,)"
              R"("content":null,"subtree":")" +
              subtrees[i].hex() + R"("})";
    }
    return packs_.add(as_bytes(json + "]}" + std::string(salt.size(), ' ') + "\n"), BlobType::Tree).id;
  }
  // An empty folder; different for different numbers.
  Id add_leaf(std::uint32_t number) {
    return packs_.add(as_bytes(R"({"nodes":[],"unknown":)" + std::to_string(number) + "}\n"), BlobType::Tree)
        .id;
  }

  void start(TreeLog* log = nullptr, std::uint64_t capacity = 32U << 20U, std::uint64_t neighbours = 0) {
    index_ = packs_.index(pool_);
    BlobReaderOptions options;
    options.refresh_pause = std::chrono::milliseconds(1);
    trees_.reset();
    blobs_ = std::make_unique<PackBlobReader>(backend_, crypto_, pool_, log_,
                                              IndexSource{[this] { return index_; }, [] {}}, options);
    trees_ = std::make_unique<TreeStore>(*blobs_, capacity, neighbours, log, clock_);
  }
  // Longer than anybody who walks stays away.
  void rest() { clock_.advance(ByteCache<Id, Tree, IdHash>::kPatience + std::chrono::seconds(1)); }
  std::vector<Id> add_leaves(std::uint32_t first, std::uint32_t count) {
    std::vector<Id> leaves;
    for (std::uint32_t i = 0; i < count; ++i) leaves.push_back(add_leaf(first + i));
    return leaves;
  }

  // Blocks until the tree has been read ahead.
  void wait_until_cached(const Id& id) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!trees_->cached(id)) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "not read ahead";
      std::this_thread::yield();
    }
  }

  std::size_t ranges() const { return backend_.count(Call::Kind::LoadRange); }

  test::FakeClock clock_;
  test::FakeBackend backend_;
  Crypto crypto_{test::test_key()};
  CpuPool pool_{2};
  Log log_{Log::Sink::Nothing};
  test::PackMaker packs_{backend_, crypto_};
  std::shared_ptr<const Index> index_;
  std::unique_ptr<PackBlobReader> blobs_;
  std::unique_ptr<TreeStore> trees_;
};

TEST_F(TreeStoreTest, ATreeThatIsTooLargeIsThereForAsLongAsItIsHeld) {
  const Id large = add_folder(std::vector<Id>(1000, add_leaf(1))), small = add_leaf(2);
  packs_.close();
  start(nullptr, 16U << 10U);
  trees_->tree(small);
  TreePtr held = trees_->tree(large);
  ASSERT_GT(held->memory_bytes(), 16U << 10U);
  EXPECT_EQ(trees_->tree(large), held);
  EXPECT_EQ(trees_->cached(large), held);
  EXPECT_TRUE(trees_->cached(small));  // not pushed out in vain
  held.reset();
  EXPECT_EQ(trees_->tree(large)->size(), 1000U);
}

TEST_F(TreeStoreTest, EightReadersOfATreeShareOne) {
  const Id id = add_folder({add_leaf(1)});
  packs_.close();
  start();
  EXPECT_EQ(trees_->cached(id), nullptr);
  std::vector<std::future<TreePtr>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(std::async(std::launch::async, [&] { return trees_->tree(id); }));
  }
  const TreePtr tree = readers.front().get();
  for (std::size_t i = 1; i < readers.size(); ++i) EXPECT_EQ(readers[i].get(), tree);
  EXPECT_EQ(tree->dir_count(), 1U);
  EXPECT_EQ(trees_->cached(id), tree);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(TreeStoreTest, ABlobThatIsNoTreeIsNamed) {
  const Id id = packs_.add(as_bytes("{\"nodes\":7}"), BlobType::Tree).id;
  packs_.close();
  start();
  for (int again = 0; again < 2; ++again) {
    try {
      trees_->tree(id);
      ADD_FAILURE() << "decoded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
      EXPECT_THAT(error.what(), testing::HasSubstr(id.short_hex()));
    }
  }
}

TEST_F(TreeStoreTest, ATreeInNoIndexIsNotFound) {
  add_leaf(1);
  packs_.close();
  start();
  try {
    trees_->tree(test::numbered_id(3));
    ADD_FAILURE() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::NotFound);
  }
}

TEST_F(TreeStoreTest, ReadingAheadFetchesTheTreesAndWhatIsBelowThem) {
  std::vector<Id> leaves, middle;
  for (std::uint32_t i = 0; i < 4; ++i) {
    leaves.push_back(add_leaf(i));
    middle.push_back(add_folder({leaves.back()}, std::to_string(i)));
  }
  packs_.close();
  start();
  trees_->ahead(middle);
  for (const Id& id : middle) wait_until_cached(id);
  for (const Id& id : leaves) wait_until_cached(id);
  const std::size_t asked = ranges();
  for (const Id& id : leaves) trees_->tree(id);
  EXPECT_EQ(ranges(), asked);
}

TEST_F(TreeStoreTest, ASingleLookIntoALargeFolderReadsOnlySomeAhead) {
  std::vector<Id> leaves;
  for (std::uint32_t i = 0; i < 2000; ++i) leaves.push_back(add_leaf(i));
  packs_.close();
  start();
  trees_->ahead(leaves);
  for (std::uint32_t i = 0; i < 32; ++i) wait_until_cached(leaves[i]);
  // Those 32 were looked at by now, which earned some more; the end of the folder has not been reached by
  // far.
  EXPECT_EQ(trees_->cached(leaves.back()), nullptr);
  EXPECT_LT(blobs_->stats().misses, 500U);
}

TEST_F(TreeStoreTest, AWalkIsFedWithFewRequests) {
  std::vector<Id> top;
  std::uint32_t number = 0;
  for (int i = 0; i < 30; ++i) {
    std::vector<Id> leaves;
    for (int j = 0; j < 30; ++j) leaves.push_back(add_leaf(number++));
    top.push_back(add_folder(leaves, std::to_string(i)));
  }
  const Id root = add_folder(top, "root");
  packs_.close();
  start();
  std::size_t seen = 0;
  const std::function<void(const Id&)> walk = [&](const Id& id) {
    const TreePtr tree = trees_->tree(id);
    ++seen;
    std::vector<Id> subtrees;
    for (std::size_t i = 0; i < tree->size(); ++i) subtrees.push_back(*tree->node(i).subtree);
    if (!subtrees.empty()) trees_->ahead(subtrees);
    for (const Id& subtree : subtrees) walk(subtree);
  };
  walk(root);
  EXPECT_EQ(seen, 931U);
  EXPECT_EQ(blobs_->stats().misses, 931U);
  EXPECT_LT(ranges(), 931U / 8);
}

TEST_F(TreeStoreTest, FarAwayTheFirstTreeBringsTheWayDownWithIt) {
  std::vector<Id> way{add_leaf(0)};
  for (std::uint32_t i = 1; i < 10; ++i) way.push_back(add_folder({way.back()}, std::to_string(i)));
  packs_.close();
  start(nullptr, 32U << 20U, 1U << 20U);
  trees_->tree(way.back());
  const std::size_t asked = ranges();
  for (auto id = way.rbegin(); id != way.rend(); ++id) trees_->tree(*id);
  EXPECT_EQ(ranges(), asked);
  EXPECT_LE(asked, 2U);
}

TEST_F(TreeStoreTest, FarAwayTheFirstTreeAfterARestBringsTheWayDownWithItToo) {
  std::vector<std::vector<Id>> ways;  // each in a pack of its own
  for (std::uint32_t way = 0; way < 3; ++way) {
    ways.push_back({add_leaf(way)});
    for (int i = 0; i < 3; ++i) ways[way].push_back(add_folder({ways[way].back()}, std::to_string(way)));
    packs_.close();
  }
  start(nullptr, 32U << 20U, 1U << 20U);
  const auto goes_down_at_once = [this](const std::vector<Id>& way) {
    trees_->tree(way.back());
    const std::size_t asked = ranges();
    for (auto id = way.rbegin(); id != way.rend(); ++id) trees_->tree(*id);
    return ranges() == asked;
  };
  EXPECT_TRUE(goes_down_at_once(ways[0]));
  EXPECT_FALSE(goes_down_at_once(ways[1]));  // the same walk goes on
  rest();
  EXPECT_TRUE(goes_down_at_once(ways[2]));
}

TEST_F(TreeStoreTest, AfterARestNothingOfTheOldWalkIsReadAhead) {
  const std::vector<Id> old = add_leaves(0, 2000), others = add_leaves(2000, 64);
  packs_.close();
  start();
  trees_->ahead(old);
  const std::uint64_t asked = blobs_->stats().misses;
  ASSERT_LT(asked, old.size());
  rest();
  for (const Id& id : others) trees_->tree(id);
  EXPECT_EQ(blobs_->stats().misses, asked + others.size());
}

TEST_F(TreeStoreTest, WhatALongWalkHasEarnedIsGoneAfterARest) {
  const std::vector<Id> walked = add_leaves(0, 300);
  packs_.close();
  const Id other = add_leaf(300);
  packs_.close();
  const std::vector<Id> folder = add_leaves(301, 1000);
  packs_.close();
  start(nullptr, 32U << 20U, 1U << 20U);
  for (const Id& id : walked) trees_->tree(id);
  rest();
  trees_->tree(other);
  const std::uint64_t asked = blobs_->stats().misses;
  trees_->ahead(folder);
  // Neither the trees that the old walk might have had, nor the neighbours that a sure walk is given.
  EXPECT_LE(blobs_->stats().misses, asked + 64);
}

TEST_F(TreeStoreTest, AfterARestSubtreesThatTheOldWalkDidNotReachAreReadAhead) {
  const std::vector<Id> leaves = add_leaves(0, 300);
  const Id wide = add_folder(leaves), narrow = add_folder({leaves.back()});
  packs_.close();
  start();
  trees_->ahead(std::span(&wide, 1));
  wait_until_cached(leaves.front());
  ASSERT_EQ(trees_->cached(leaves.back()), nullptr);
  rest();
  trees_->ahead(std::span(&narrow, 1));
  wait_until_cached(leaves.back());
}

TEST_F(TreeStoreTest, AVeryDeepChainIsFollowedWithoutDeepCalls) {
  std::vector<Id> chain{add_leaf(0)};
  for (int i = 0; i < 20'000; ++i) chain.push_back(add_folder({chain.back()}));
  packs_.close();
  start();
  // All blobs are in memory, so that each tree lands the moment it is asked for.
  std::vector<BlobKey> keys;
  for (const Id& id : chain) keys.push_back({BlobType::Tree, id});
  for (const auto& slot : blobs_->request(keys, Urgency::Demand)) slot->wait();
  for (auto id = chain.rbegin(); id != chain.rend(); ++id) {
    while (!trees_->cached(*id)) trees_->ahead(std::span(&*id, 1));
  }
}

TEST_F(TreeStoreTest, ATreeThatCouldNotBeReadAheadIsTriedAgainOnDemand) {
  const Id id = add_leaf(1);
  packs_.close();
  start();
  backend_.set_hook([](const Call& call) {
    if (call.urgency == Urgency::Demand) return Fault{};
    return Fault{.fail = Error(Errc::Unavailable, "injected"), .fail_after = {}, .truncate = {}};
  });
  trees_->ahead(std::span(&id, 1));
  EXPECT_EQ(trees_->tree(id)->size(), 0U);
}

TEST_F(TreeStoreTest, TreesAreKeptFromMountToMount) {
  const Id leaf = add_leaf(1), root = add_folder({leaf});
  packs_.close();
  const test::TemporaryFolder folder;
  const Id repository = test::numbered_id(77);
  {
    LocalCache cache(folder.file("cache"), repository, crypto_, log_);
    TreeLog log(cache.open_log("trees", 1U << 20U));
    start(&log);
    trees_->tree(root);
    trees_->tree(leaf);
    trees_.reset();
  }
  backend_.forget_calls();
  LocalCache cache(folder.file("cache"), repository, crypto_, log_);
  TreeLog log(cache.open_log("trees", 1U << 20U));
  start(&log);
  EXPECT_EQ(trees_->tree(root)->dir_count(), 1U);
  trees_->ahead(std::span(&leaf, 1));
  EXPECT_EQ(trees_->tree(leaf)->size(), 0U);
  EXPECT_EQ(ranges(), 0U);
  trees_.reset();
}

// A walk in a repository whose trees the log has.
class KeptTreesTest : public TreeStoreTest {
 protected:
  void SetUp() override {
    for (std::uint32_t i = 0; i < 40; ++i) {
      leaves_.push_back(add_leaf(i));
      folders_.push_back(add_folder({leaves_.back()}));
    }
    packs_.close();
    mount();
    for (const Id& id : folders_) trees_->tree(id);
    for (const Id& id : leaves_) trees_->tree(id);
    unmount();
  }
  void TearDown() override { unmount(); }
  void mount() {
    cache_.emplace(folder_.file("cache"), test::numbered_id(77), crypto_, log_);
    tree_log_ = std::make_unique<TreeLog>(cache_->open_log("trees", 1U << 20U));
    start(tree_log_.get());
    backend_.forget_calls();
  }
  void unmount() {
    trees_.reset();
    tree_log_.reset();
    cache_.reset();
  }
  // Two from the front and two from the end, while all is asked for ahead.
  void expect_four_walkers_to_find_all() {
    std::vector<std::thread> walkers;
    walkers.reserve(4);
    std::atomic<unsigned> right{0};
    for (unsigned walker = 0; walker < 4; ++walker) {
      walkers.emplace_back([this, &right, forward = walker % 2 == 0] {
        trees_->ahead(folders_);
        for (std::size_t i = 0; i < folders_.size(); ++i) {
          const std::size_t at = forward ? i : folders_.size() - 1 - i;
          if (trees_->tree(folders_[at])->dir_count() == 1) ++right;
          if (trees_->tree(leaves_[at])->size() == 0) ++right;
        }
      });
    }
    for (std::thread& walker : walkers) walker.join();
    EXPECT_EQ(right, 4 * 2 * folders_.size());
  }

  const test::TemporaryFolder folder_;
  std::vector<Id> folders_, leaves_;
  std::optional<LocalCache> cache_;
  std::unique_ptr<TreeLog> tree_log_;
};

TEST_F(KeptTreesTest, AreReadAheadWithWhatIsBelowThem) {
  mount();
  trees_->ahead(folders_);
  wait_until_cached(leaves_[20]);  // as far as a walk that has only begun may have read ahead
  for (const Id& id : folders_) EXPECT_TRUE(trees_->cached(id));
  wait_until_cached(leaves_.back());  // earned by these
  EXPECT_EQ(ranges(), 0U);
}

TEST_F(KeptTreesTest, AreThereForManyWhoAskWhileTheyAreReadAhead) {
  mount();
  expect_four_walkers_to_find_all();
  EXPECT_EQ(ranges(), 0U);
}

TEST_F(KeptTreesTest, ComeFromTheRepositoryWhereTheLogIsDamaged) {
  mount();
  // After its records were found, so that each is looked for.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.file("cache"))) {
    if (entry.path().filename() != "trees.log") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(entry.file_size(), 'x');
  }
  expect_four_walkers_to_find_all();
  EXPECT_GT(ranges(), 0U);
}

TEST_F(TreeStoreTest, ABlobThatArrivesAfterTheStoreHasGoneFindsNobody) {
  const Id id = add_leaf(1);
  packs_.close();
  start();
  backend_.set_hook(
      [](const Call&) { return Fault{.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; });
  trees_->ahead(std::span(&id, 1));
  backend_.wait_for_hung(1);
  trees_.reset();
  backend_.release_hung();
  EXPECT_FALSE(blobs_->load({BlobType::Tree, id})->bytes.empty());
}

}  // namespace
}  // namespace restic::repo
