// SPDX-License-Identifier: MIT
#include "repo/local_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "repo/cpu_pool.h"
#include "repo/index_file.h"
#include "repo/log_index_cache.h"
#include "support/index_material.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using test::numbered_id;

constexpr std::uint64_t kLogBytes = 64U << 20U;

Bytes some_content(std::uint64_t number, std::size_t size, bool compressible = false) {
  std::mt19937_64 random(number);
  Bytes content;
  content.resize(size);
  for (std::uint8_t& byte : content) byte = static_cast<std::uint8_t>(compressible ? random() % 3 : random());
  return content;
}

class LocalCacheTest : public testing::Test {
 protected:
  LocalCache open(const std::string& dir = {}, std::uint64_t repository = 7, std::uint8_t key = 1) {
    RawKey raw = test::test_key();
    raw.encrypt.fill(key);
    crypto_ = std::make_unique<Crypto>(raw);
    return LocalCache(dir.empty() ? dir_ : dir, numbered_id(repository), *crypto_, log_);
  }
  std::string folder() const { return dir_ + "/" + numbered_id(7).hex(); }
  std::string log_path() const { return folder() + "/trees.log"; }

  // Puts `records` of a kilobyte or so.
  void fill(std::uint64_t records) {
    LocalCache cache = open();
    const auto log = cache.open_log("trees", kLogBytes);
    for (std::uint64_t i = 0; i < records; ++i) log->put(numbered_id(i), some_content(i, 1000 + i));
  }
  // How many of these come back; whatever comes back is right.
  std::size_t hits(CacheLog& log, std::uint64_t records) {
    std::size_t found = 0;
    for (std::uint64_t i = 0; i < records; ++i) {
      const std::optional<Bytes> content = log.get(numbered_id(i));
      if (!content) continue;
      ++found;
      EXPECT_EQ(*content, some_content(i, 1000 + i));
    }
    return found;
  }
  std::size_t hits(std::uint64_t records) {
    LocalCache cache = open();
    return hits(*cache.open_log("trees", kLogBytes), records);
  }
  Bytes read_log() const {
    std::ifstream in(log_path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write_log(const Bytes& bytes) const {
    std::ofstream out(log_path(), std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  test::TemporaryFolder temporary_;
  std::string dir_ = temporary_.file("cache");
  Log log_{Log::Sink::Nothing};
  std::unique_ptr<Crypto> crypto_;
};

TEST_F(LocalCacheTest, GivesBackWhatItWasGivenNowAndLater) {
  LocalCache cache = open();
  {
    const auto log = cache.open_log("trees", kLogBytes);
    for (const std::size_t size : {0U, 1U, 31U, 32U, 100U, 5000U, 3000000U}) {
      for (const bool compressible : {false, true}) {
        const std::uint64_t number = 2 * size + (compressible ? 1 : 0);
        const Bytes content = some_content(number, size, compressible);
        log->put(numbered_id(number), content);
        EXPECT_EQ(log->get(numbered_id(number)), content) << size;
      }
    }
    EXPECT_FALSE(log->get(numbered_id(123456)));
  }
  const auto log = cache.open_log("trees", kLogBytes);
  EXPECT_EQ(log->stats().records, 14U);
  EXPECT_EQ(log->get(numbered_id(6000001)), some_content(6000001, 3000000, true));
  EXPECT_EQ(log_.last_problem(), "");
}

TEST_F(LocalCacheTest, ShowsNothingOnTheDisk) {
  {
    LocalCache cache = open();
    const auto log = cache.open_log("trees", kLogBytes);
    log->put(numbered_id(1), as_bytes("a very secret text, a very secret text, a very secret text"));
  }
  const Bytes bytes = read_log();
  const std::string text(bytes.begin(), bytes.end());
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("secret")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr(as_text(ByteView(numbered_id(1).bytes).first(8)))));
}

TEST_F(LocalCacheTest, CompressesWhatIsWorthIt) {
  LocalCache cache = open();
  const auto log = cache.open_log("trees", kLogBytes);
  log->put(numbered_id(1), Bytes(1000000, 7));
  EXPECT_LT(log->stats().bytes, 20000U);
}

TEST_F(LocalCacheTest, FoldersArePrivateAndMarkedAsACache) {
  fill(1);
  struct stat status {};
  for (const std::string& path : {dir_, folder()}) {
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U) << path;
  }
  ASSERT_EQ(::stat(log_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  std::ifstream tag(dir_ + "/CACHEDIR.TAG");
  std::string line;
  std::getline(tag, line);
  EXPECT_EQ(line, "Signature: 8a477f597d28d172789f06886806bc55");
}

TEST_F(LocalCacheTest, AnotherRepositoryKeyOrStoreSeesNothing) {
  fill(3);
  const std::string other = dir_ + "/" + numbered_id(8).hex();
  std::filesystem::copy(folder(), other);
  std::filesystem::copy(log_path(), folder() + "/snapshots.log");
  {
    LocalCache cache = open({}, 8);
    const auto log = cache.open_log("trees", kLogBytes);
    EXPECT_EQ(log->stats().records, 0U);
    EXPECT_THAT(log_.last_problem(), testing::HasSubstr("trees.log"));
  }
  {
    LocalCache cache = open();
    EXPECT_EQ(cache.open_log("snapshots", kLogBytes)->stats().records, 0U);
  }
  LocalCache cache = open({}, 7, 2);
  EXPECT_EQ(cache.open_log("trees", kLogBytes)->stats().records, 0U);
}

TEST_F(LocalCacheTest, AnotherVersionIsStartedAnew) {
  fill(3);
  Bytes bytes = read_log();
  bytes[8] = 99;
  write_log(bytes);
  EXPECT_EQ(hits(3), 0U);
  EXPECT_NE(log_.last_problem(), "");
  fill(3);
  EXPECT_EQ(hits(3), 3U);
}

TEST_F(LocalCacheTest, TruncatedAnywhereItGivesWhatIsLeft) {
  fill(4);
  const Bytes whole = read_log();
  std::size_t most = 0;
  for (std::size_t size = 0; size < whole.size(); size += 97) {
    write_log(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    const std::size_t found = hits(4);
    EXPECT_LT(found, 4U);
    EXPECT_GE(found, most);
    most = found;
  }
  EXPECT_EQ(most, 3U);
  fill(4);
  EXPECT_EQ(hits(4), 4U);
}

TEST_F(LocalCacheTest, AFlippedBitAnywhereIsAMissAndNeverAWrongAnswer) {
  fill(4);
  const Bytes whole = read_log();
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 41) {
    Bytes damaged = whole;
    damaged[at] ^= 0x10U;
    write_log(damaged);
    EXPECT_LT(hits(4), 4U) << at;
  }
}

TEST_F(LocalCacheTest, ADamagedRecordCanBePutAgain) {
  fill(2);
  Bytes bytes = read_log();
  bytes.back() ^= 1U;
  write_log(bytes);
  LocalCache cache = open();
  const auto log = cache.open_log("trees", kLogBytes);
  EXPECT_FALSE(log->get(numbered_id(1)));
  EXPECT_NE(log_.last_problem(), "");
  log->put(numbered_id(1), some_content(1, 1001));
  EXPECT_EQ(hits(*log, 2), 2U);
}

TEST_F(LocalCacheTest, RecordsThatSwapPlacesAreMisses) {
  {
    LocalCache cache = open();
    const auto log = cache.open_log("trees", kLogBytes);
    log->put(numbered_id(1), some_content(1, 500));
    log->put(numbered_id(2), some_content(2, 500));
  }
  Bytes bytes = read_log();
  constexpr std::ptrdiff_t kFileHeader = 24, kRecordHeader = 32, kSealed = 540;
  const auto first = bytes.begin() + kFileHeader + kRecordHeader;
  std::swap_ranges(first, first + kSealed, first + kSealed + kRecordHeader);
  write_log(bytes);
  LocalCache cache = open();
  const auto log = cache.open_log("trees", kLogBytes);
  EXPECT_EQ(log->stats().records, 2U);
  EXPECT_FALSE(log->get(numbered_id(1)));
  EXPECT_FALSE(log->get(numbered_id(2)));
}

TEST_F(LocalCacheTest, StaysBelowItsBudgetAndKeepsWhatIsUsed) {
  LocalCache cache = open();
  constexpr std::uint64_t kSmall = 100000;
  const auto log = cache.open_log("trees", kSmall);
  log->put(numbered_id(0), some_content(0, 1000));
  for (std::uint64_t i = 1; i < 1000; ++i) {
    log->put(numbered_id(i), some_content(i, 1000));
    EXPECT_TRUE(log->get(numbered_id(0))) << i;
    EXPECT_LE(std::filesystem::file_size(log_path()), kSmall);
  }
  EXPECT_TRUE(log->get(numbered_id(999)));
  EXPECT_FALSE(log->get(numbered_id(1)));
  log->put(numbered_id(5000), some_content(1, kSmall));
  EXPECT_FALSE(log->get(numbered_id(5000)));
  EXPECT_EQ(log_.last_problem(), "");
  const std::size_t records = log->stats().records;
  EXPECT_GT(records, 50U);
}

TEST_F(LocalCacheTest, DropsWhatIsNotToBeKept) {
  LocalCache cache = open();
  std::uint64_t full = 0;
  {
    const auto log = cache.open_log("trees", kLogBytes);
    for (std::uint64_t i = 0; i < 10; ++i) log->put(numbered_id(i), some_content(i, 1000));
    full = log->stats().bytes;
    log->keep_only(std::vector<Id>{numbered_id(3), numbered_id(77)});
    EXPECT_TRUE(log->get(numbered_id(3)));
    EXPECT_FALSE(log->get(numbered_id(4)));
    log->put(numbered_id(4), some_content(4, 1000));
  }
  const auto log = cache.open_log("trees", kLogBytes);
  EXPECT_EQ(log->stats().records, 2U);
  EXPECT_LT(log->stats().bytes, full / 3);
}

TEST_F(LocalCacheTest, ASecondMountReadsWhileTheFirstWrites) {
  LocalCache cache = open();
  const auto first = cache.open_log("trees", 100000);
  first->put(numbered_id(1), some_content(1, 1001));
  const auto second = cache.open_log("trees", 100000);
  first->put(numbered_id(2), some_content(2, 1002));
  second->put(numbered_id(3), some_content(3, 1003));
  EXPECT_TRUE(second->get(numbered_id(1)));
  EXPECT_FALSE(second->get(numbered_id(2)));
  EXPECT_FALSE(second->get(numbered_id(3)));
  // The first rewrites the file many times over; the second's stays what it was.
  for (std::uint64_t i = 10; i < 500; ++i) first->put(numbered_id(i), some_content(i, 1000));
  EXPECT_EQ(second->get(numbered_id(1)), some_content(1, 1001));
  EXPECT_EQ(log_.last_problem(), "");
}

TEST_F(LocalCacheTest, ManyThreadsMayUseOneLog) {
  LocalCache cache = open();
  const auto log = cache.open_log("trees", 300000);
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&log, thread] {
        std::mt19937_64 random(static_cast<std::uint64_t>(thread));
        for (int i = 0; i < 1000; ++i) {
          const std::uint64_t number = random() % 400;
          const Bytes content = some_content(number, 1000 + number);
          if (i % 2 == 0) {
            log->put(numbered_id(number), content);
          } else if (const std::optional<Bytes> found = log->get(numbered_id(number))) {
            EXPECT_EQ(*found, content);
          }
        }
      });
    }
  }
  EXPECT_EQ(log_.last_problem(), "");
  EXPECT_LE(std::filesystem::file_size(log_path()), 300000U);
}

TEST_F(LocalCacheTest, WithoutAFolderItDoesNothing) {
  LocalCache cache("", numbered_id(7), Crypto(test::test_key()), log_);
  EXPECT_FALSE(cache.usable());
  EXPECT_EQ(log_.last_problem(), "");
}

TEST_F(LocalCacheTest, AnUnusableFolderIsReportedOnceAndDoesNothing) {
  std::ofstream(temporary_.file("file")) << "x";
  for (const std::string& dir :
       {temporary_.file("file"), temporary_.file("file") + "/below", std::string("/proc/none")}) {
    LocalCache cache = open(dir);
    EXPECT_FALSE(cache.usable());
    EXPECT_THAT(log_.last_problem(), testing::HasSubstr(dir));
    const auto log = cache.open_log("trees", kLogBytes);
    log->put(numbered_id(1), some_content(1, 10));
    EXPECT_FALSE(log->get(numbered_id(1)));
    log->keep_only({});
  }
}

TEST_F(LocalCacheTest, AFolderOfSomebodyElseIsNotTouched) {
  std::filesystem::create_directories(folder());
  ASSERT_EQ(::chown(folder().c_str(), 12345, 12345), 0) << "the tests need root";
  LocalCache cache = open();
  EXPECT_FALSE(cache.usable());
  EXPECT_THAT(log_.last_problem(), testing::HasSubstr("another user"));
}

TEST_F(LocalCacheTest, ALinkInPlaceOfTheFolderOrTheLogIsNotFollowed) {
  const std::string elsewhere = temporary_.file("elsewhere");
  std::filesystem::create_directories(elsewhere);
  std::filesystem::create_directories(dir_);
  std::filesystem::create_symlink(elsewhere, folder());
  EXPECT_FALSE(open().usable());
  std::filesystem::remove(folder());
  fill(1);
  std::filesystem::rename(log_path(), elsewhere + "/trees.log");
  std::filesystem::create_symlink(elsewhere + "/trees.log", log_path());
  const auto before = std::filesystem::file_size(elsewhere + "/trees.log");
  fill(3);
  EXPECT_EQ(std::filesystem::file_size(elsewhere + "/trees.log"), before);
  EXPECT_EQ(hits(3), 3U);
}

// A small file system of its own, mounted over a folder.
class MountedTmpfs {
 public:
  MountedTmpfs(std::string path, const char* options) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    if (::mount("tmpfs", path_.c_str(), "tmpfs", 0, options) != 0)
      throw std::runtime_error("the tests need root");
  }
  ~MountedTmpfs() { ::umount2(path_.c_str(), MNT_DETACH); }
  MountedTmpfs(const MountedTmpfs&) = delete;
  MountedTmpfs& operator=(const MountedTmpfs&) = delete;
  void make_read_only() const {
    if (::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      throw std::runtime_error("cannot remount");
    }
  }

 private:
  std::string path_;
};

TEST_F(LocalCacheTest, AFullDiskEndsTheWritingAndNothingElse) {
  const MountedTmpfs disk(dir_, "size=200k,mode=700");
  LocalCache cache = open();
  {
    const auto log = cache.open_log("trees", kLogBytes);
    for (std::uint64_t i = 0; i < 400; ++i) log->put(numbered_id(i), some_content(i, 1000 + i));
    EXPECT_GT(hits(*log, 400), 50U);
    EXPECT_THAT(log_.last_problem(), testing::HasSubstr("No space left"));
  }
  EXPECT_GT(hits(400), 50U);
}

TEST_F(LocalCacheTest, AReadOnlyDiskStillGivesWhatItHas) {
  const MountedTmpfs disk(dir_, "size=200k,mode=700");
  fill(5);
  disk.make_read_only();
  EXPECT_EQ(hits(5), 5U);
  fill(9);
  EXPECT_EQ(hits(9), 5U);
}

TEST_F(LocalCacheTest, KeepsTheIndexBetweenMounts) {
  CpuPool pool(2);
  std::mt19937_64 random(1);
  std::vector<IndexSegmentPtr> segments;
  std::vector<Id> files;
  for (std::uint64_t i = 0; i < 5; ++i) {
    const std::string json = encode_index_file(test::random_packs(random, 1000 * i, 10, 10));
    Bytes bytes(json.begin(), json.end());
    segments.push_back(IndexFileParser().parse(numbered_id(i), bytes, 2));
    files.push_back(numbered_id(i));
  }
  LocalCache cache = open();
  {
    LogIndexCache index_cache(cache.open_log("index", kLogBytes), pool);
    EXPECT_TRUE(index_cache.load().empty());
    index_cache.store({segments.begin(), segments.begin() + 3}, {files.begin(), files.begin() + 3});
    index_cache.store({segments.begin() + 3, segments.end()}, files);
  }
  {
    LogIndexCache index_cache(cache.open_log("index", kLogBytes), pool);
    std::vector<IndexSegmentPtr> loaded = index_cache.load();
    ASSERT_EQ(loaded.size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(loaded[i]->block(), segments[i]->block());
    index_cache.store({}, {files.begin(), files.begin() + 1});
  }
  LogIndexCache index_cache(cache.open_log("index", kLogBytes), pool);
  const std::vector<IndexSegmentPtr> loaded = index_cache.load();
  ASSERT_EQ(loaded.size(), 1U);
  EXPECT_EQ(loaded[0]->file(), files[0]);
}

}  // namespace
}  // namespace restic::repo
