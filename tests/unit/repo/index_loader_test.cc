// SPDX-License-Identifier: MIT
#include "repo/index_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <random>

#include "base/error.h"
#include "repo/index_cache.h"
#include "repo/index_fetch.h"
#include "support/fake_backend.h"
#include "support/index_material.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using test::Call;
using test::fail_with;
using test::Fault;
using test::packed;
using transport::FileType;

// An IndexCache that keeps what it is given.
class RememberingCache final : public IndexCache {
 public:
  std::vector<IndexSegmentPtr> load() override { return segments; }
  void store(std::vector<IndexSegmentPtr> added, std::vector<Id> listed) override {
    segments.insert(segments.end(), added.begin(), added.end());
    files = std::move(listed);
  }
  std::vector<IndexSegmentPtr> segments;
  std::vector<Id> files;
};

class IndexLoaderTest : public testing::Test {
 protected:
  // An index file that lists one blob, of that number.
  Id put(std::uint64_t number) {
    return test::put_index(backend_, crypto_,
                           {{.pack = test::numbered_id(~number), .blobs = {packed(number, 0, 50)}}});
  }
  std::shared_ptr<const CompactIndex> load(const std::shared_ptr<const CompactIndex>& previous = nullptr,
                                           IndexCache* cache = nullptr) {
    IndexLoader loader(backend_, crypto_, 2, pool_, log_, cache);
    return loader.load(previous, {}, {});
  }
  Errc load_error() {
    try {
      load();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return Errc::Io;
  }
  static bool has(const Index& index, std::uint64_t number) {
    return index.contains({.type = BlobType::Data, .id = test::numbered_id(number)});
  }
  std::size_t loads() const { return backend_.count(Call::Kind::Load); }
  // Fails loads of one file.
  void fail_loads_of(const Id& file, const Fault& fault) {
    backend_.set_hook([name = file.hex(), fault](const Call& call) {
      return call.kind == Call::Kind::Load && call.file.name == name ? fault : Fault{};
    });
  }

  test::FakeBackend backend_;
  Crypto crypto_{test::test_key()};
  CpuPool pool_{2};
  Log log_{Log::Sink::Nothing};
};

TEST_F(IndexLoaderTest, LoadsEveryFileOnce) {
  for (std::uint64_t i = 0; i < 30; ++i) put(i);
  const auto index = load();
  EXPECT_EQ(index->blob_count(), 30U);
  EXPECT_EQ(index->files().size(), 30U);
  EXPECT_TRUE(std::is_sorted(index->files().begin(), index->files().end()));
  for (std::uint64_t i = 0; i < 30; ++i) EXPECT_TRUE(has(*index, i));
  EXPECT_EQ(loads(), 30U);
  EXPECT_EQ(backend_.count(Call::Kind::List), 1U);
}

TEST_F(IndexLoaderTest, AnEmptyRepositoryHasAnEmptyIndex) { EXPECT_EQ(load()->blob_count(), 0U); }

TEST_F(IndexLoaderTest, ReportsProgressUpToTheTotal) {
  for (std::uint64_t i = 0; i < 5; ++i) put(i);
  std::vector<std::size_t> seen;
  IndexLoader loader(backend_, crypto_, 2, pool_, log_, nullptr);
  loader.load(nullptr,
              [&](std::size_t done, std::size_t total) {
                EXPECT_EQ(total, 5U);
                seen.push_back(done);
              },
              {});
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.front(), 0U);
  EXPECT_EQ(seen.back(), 5U);
}

TEST_F(IndexLoaderTest, ReportsTheEndOnceAlsoWhenFilesArriveDuringAReport) {
  put(1);
  put(2);
  std::atomic<int> seen{0};
  std::atomic<bool> one_is_done{false};  // it may be before the second is asked for
  backend_.set_hook([&](const Call& call) -> Fault {
    const bool second = call.kind == Call::Kind::Load && seen++ == 1;
    return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = second && !one_is_done};
  });
  std::vector<std::size_t> reported;
  CpuPool pool(1);
  IndexLoader loader(backend_, crypto_, 2, pool, log_, nullptr);
  loader.load(nullptr,
              [&](std::size_t done, std::size_t) {
                reported.push_back(done);
                if (done != 1) return;
                one_is_done = true;
                backend_.release_hung();
                transport::list(backend_, FileType::Key);  // the backend has delivered the file by then,
                std::promise<void> decoded;
                pool.submit([&] { decoded.set_value(); });  // and the pool decoded it
                decoded.get_future().get();
              },
              {});
  EXPECT_EQ(reported, (std::vector<std::size_t>{0, 1, 2}));
}

TEST_F(IndexLoaderTest, ReportsTheEndOnceAlsoWhenItListsAgain) {
  const Id old_file = put(1);
  backend_.set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Load && call.file.name == old_file.hex()) {
      put(2);
      backend_.drop(call.file);
    }
    return {};
  });
  std::size_t ends = 0;
  IndexLoader loader(backend_, crypto_, 2, pool_, log_, nullptr);
  const auto count_ends = [&](std::size_t done, std::size_t total) { ends += done == total ? 1 : 0; };
  const auto index = loader.load(nullptr, count_ends, {});
  EXPECT_EQ(ends, 1U);
  ends = 0;
  loader.load(index, count_ends, {});
  EXPECT_EQ(ends, 1U);
}

TEST_F(IndexLoaderTest, AReloadFetchesOnlyNewFilesAndSharesTheRest) {
  const Id first = put(1);
  const auto before = load();
  backend_.forget_calls();
  put(2);
  const auto after = load(before);
  EXPECT_EQ(loads(), 1U);
  EXPECT_TRUE(has(*after, 1));
  EXPECT_TRUE(has(*after, 2));
  EXPECT_FALSE(has(*before, 2));
  const auto shared = std::find_if(after->segments().begin(), after->segments().end(),
                                   [&](const auto& segment) { return segment->file() == first; });
  ASSERT_NE(shared, after->segments().end());
  EXPECT_EQ(*shared, before->segments().front());
}

TEST_F(IndexLoaderTest, AReloadWithoutNewsReturnsTheSameIndex) {
  put(1);
  const auto before = load();
  EXPECT_EQ(load(before), before);
}

TEST_F(IndexLoaderTest, AReloadForgetsVanishedFiles) {
  const Id gone = put(1);
  put(2);
  const auto before = load();
  backend_.drop({.type = FileType::Index, .name = gone.hex()});
  const auto after = load(before);
  EXPECT_FALSE(has(*after, 1));
  EXPECT_TRUE(has(*after, 2));
  EXPECT_TRUE(has(*before, 1));
}

TEST_F(IndexLoaderTest, ADamagedFileIsNamedAndTheRestIsThere) {
  const Id bad = put(1);
  put(2);
  fail_loads_of(bad, {.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = true});
  const auto index = load();
  EXPECT_FALSE(has(*index, 1));
  EXPECT_TRUE(has(*index, 2));
  ASSERT_EQ(index->unreadable_files().size(), 1U);
  EXPECT_EQ(index->unreadable_files().front().file, bad);
  EXPECT_THAT(index->unreadable_files().front().reason, testing::HasSubstr("index/" + bad.hex()));
  EXPECT_THAT(log_.last_problem(), testing::HasSubstr("index/" + bad.hex()));
}

TEST_F(IndexLoaderTest, EveryKindOfDamageIsAMatterOfItsFile) {
  put(1);
  std::vector<Id> bad;
  for (const char* json : {"", "{", R"({"packs":7})", R"({"packs":[{"id":"00","blobs":[]}]})"}) {
    bad.push_back(test::put_index_json(backend_, crypto_, json));
  }
  RawKey other_key = test::test_key();
  other_key.encrypt.fill(9);
  other_key.mac_k.fill(9);
  bad.push_back(test::put_index(backend_, Crypto(other_key), {}));
  for (const Bytes& content : {Bytes{}, Bytes(31, 1), Bytes(5000, 1)}) {
    bad.push_back(Id::of(content));
    backend_.put({.type = FileType::Index, .name = bad.back().hex()}, content);
  }
  const auto index = load();
  EXPECT_TRUE(has(*index, 1));
  std::sort(bad.begin(), bad.end());
  ASSERT_EQ(index->unreadable_files().size(), bad.size());
  for (std::size_t i = 0; i < bad.size(); ++i) EXPECT_EQ(index->unreadable_files()[i].file, bad[i]);
}

TEST_F(IndexLoaderTest, ADamagedArrivalIsTriedOnceMore) {
  put(1);
  std::atomic<int> seen{0};
  backend_.set_hook([&](const Call& call) -> Fault {
    const bool first = call.kind == Call::Kind::Load && seen++ == 0;
    return {.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = first};
  });
  const auto index = load();
  EXPECT_TRUE(has(*index, 1));
  EXPECT_TRUE(index->unreadable_files().empty());
  EXPECT_EQ(loads(), 2U);
}

TEST_F(IndexLoaderTest, AnUnreadableFileIsReadWhenItHeals) {
  const Id bad = put(1);
  put(2);
  fail_loads_of(bad, fail_with(Errc::Io));
  const auto broken = load();
  EXPECT_EQ(load(broken), broken);
  backend_.set_hook({});
  const auto healed = load(broken);
  EXPECT_TRUE(has(*healed, 1));
  EXPECT_TRUE(healed->unreadable_files().empty());
}

TEST_F(IndexLoaderTest, NothingReadableIsAnError) {
  const Id bad = put(1);
  fail_loads_of(bad, fail_with(Errc::Denied));
  EXPECT_EQ(load_error(), Errc::Damaged);
}

TEST_F(IndexLoaderTest, AnOutageIsAnErrorAndNeverAShorterIndex) {
  const Id lost = put(1);
  for (std::uint64_t i = 2; i < 30; ++i) put(i);
  fail_loads_of(lost, fail_with(Errc::Unavailable));
  EXPECT_EQ(load_error(), Errc::Unavailable);
  fail_loads_of(lost, fail_with(Errc::Timeout));
  EXPECT_EQ(load_error(), Errc::Timeout);
  backend_.set_hook([](const Call& call) {
    return call.kind == Call::Kind::List ? fail_with(Errc::Unavailable) : Fault{};
  });
  EXPECT_EQ(load_error(), Errc::Unavailable);
}

TEST_F(IndexLoaderTest, AFileThatPruneReplacedMeanwhileIsLookedForInANewList) {
  const Id old_file = put(1);
  backend_.set_hook([&](const Call& call) -> Fault {
    if (call.kind == Call::Kind::Load && call.file.name == old_file.hex()) {
      put(2);
      backend_.drop(call.file);
    }
    return {};
  });
  const auto index = load();
  EXPECT_TRUE(has(*index, 2));
  EXPECT_TRUE(index->unreadable_files().empty());
  EXPECT_EQ(index->files().size(), 1U);
}

TEST_F(IndexLoaderTest, AFileThatIsListedButNeverThereIsUnreadable) {
  const Id ghost = put(1);
  put(2);
  fail_loads_of(ghost, fail_with(Errc::NotFound));
  const auto index = load();
  EXPECT_TRUE(has(*index, 2));
  ASSERT_EQ(index->unreadable_files().size(), 1U);
  EXPECT_EQ(index->unreadable_files().front().file, ghost);
}

TEST_F(IndexLoaderTest, KeepsNoMoreLoadsInFlightThanTheBackendLikes) {
  for (std::uint64_t i = 0; i < 30; ++i) put(i);
  backend_.set_hook([](const Call& call) -> Fault {
    return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = call.kind == Call::Kind::Load};
  });
  auto index = std::async(std::launch::async, [this] { return load(); });
  backend_.wait_for_hung(backend_.parallelism());
  EXPECT_EQ(loads(), backend_.parallelism());
  backend_.set_hook({});
  backend_.release_hung();
  EXPECT_EQ(index.get()->blob_count(), 30U);
}

TEST_F(IndexLoaderTest, LargeFilesWaitForEachOther) {
  // Files that say nothing, but at length: two of them exceed the budget.
  const std::string filler(IndexFetch::kMostWaitingBytes / 2 + 1, ' ');
  for (char mark = 'a'; mark < 'd'; ++mark) {
    const std::string json = R"({"packs":[],"x":")" + std::string(1, mark) + "\"" + filler + "}";
    Bytes stored;  // sealed without compression, which is allowed
    crypto_.seal(as_bytes(json), stored);
    const Id id = Id::of(stored);
    backend_.put({.type = FileType::Index, .name = id.hex()}, std::move(stored));
  }
  backend_.set_hook([](const Call& call) -> Fault {
    return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = call.kind == Call::Kind::Load};
  });
  auto index = std::async(std::launch::async, [this] { return load(); });
  for (std::size_t done = 1; done <= 3; ++done) {
    backend_.wait_for_hung(1);
    EXPECT_EQ(loads(), done);
    backend_.release_hung();
  }
  EXPECT_EQ(index.get()->files().size(), 3U);
}

TEST_F(IndexLoaderTest, WhatTheCacheHasIsNotFetched) {
  RememberingCache cache;
  const Id first = put(1);
  load(nullptr, &cache);
  EXPECT_EQ(cache.segments.size(), 1U);
  EXPECT_EQ(cache.files, std::vector<Id>{first});
  backend_.forget_calls();
  put(2);
  const auto index = load(nullptr, &cache);
  EXPECT_EQ(loads(), 1U);
  EXPECT_EQ(index->blob_count(), 2U);
  EXPECT_EQ(cache.files.size(), 2U);
}

TEST_F(IndexLoaderTest, WhatTheCacheHasButTheRepositoryHasNotIsLeftOut) {
  RememberingCache cache;
  const Id gone = put(1);
  load(nullptr, &cache);
  backend_.drop({.type = FileType::Index, .name = gone.hex()});
  put(2);
  const auto index = load(nullptr, &cache);
  EXPECT_FALSE(has(*index, 1));
  EXPECT_TRUE(has(*index, 2));
}

}  // namespace
}  // namespace restic::repo
