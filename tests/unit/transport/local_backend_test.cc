// SPDX-License-Identifier: MIT
#include "transport/local_backend.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "support/fake_backend.h"
#include "support/temporary_folder.h"
#include "transport/blocking.h"

namespace restic::transport {
namespace {

using test::numbered_file;
namespace fs = std::filesystem;

class LocalBackendTest : public testing::Test {
 protected:
  SharedBytes bytes(std::size_t size) { return std::make_shared<const Bytes>(Bytes(size)); }
  mode_t mode(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(folder_.file(path).c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
  }
  template <class Call>
  Errc code_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "the call succeeded";
    return Errc::Io;
  }

  test::TemporaryFolder folder_;
  LocalBackend backend_{folder_.path().string(), 2};
  const FileName pack_ = numbered_file(FileType::Pack, 0xab);
  const FileName config_{FileType::Config, ""};
};

TEST_F(LocalBackendTest, LaysFilesOutAndProtectsThemAsResticDoes) {
  save(backend_, pack_, bytes(10));
  save(backend_, numbered_file(FileType::Key, 1), bytes(10));
  save(backend_, config_, bytes(10));
  EXPECT_EQ(mode("data/00/" + pack_.name), 0400U);
  EXPECT_EQ(mode("data/00"), 0700U);
  EXPECT_EQ(mode("keys/" + numbered_file(FileType::Key, 1).name), 0400U);
  EXPECT_EQ(mode("config"), 0400U);
}

TEST_F(LocalBackendTest, TellsOfBytesWhileTheyArriveAndKeepsWhatWasMadeOfThem) {
  const std::size_t size = 1'000'000;
  save(backend_, pack_, bytes(size));
  const Bytes expected = load_range(backend_, pack_, {10, size - 20});
  std::vector<std::size_t> steps;
  bool right = true;
  const Bytes loaded = await<Bytes>([&](LoadDone done) {
    const auto arriving = [&](std::span<std::uint8_t> all, std::size_t arrived) {
      const std::size_t before = steps.empty() ? 0 : steps.back();
      for (std::size_t i = before; i < arrived; ++i) {
        right = right && all[i] == expected[i];
        all[i] ^= 1U;
      }
      right = right && all.size() == size - 20;
      steps.push_back(arrived);
    };
    backend_.load_range_arriving(pack_, {10, size - 20}, Urgency::Demand, arriving, std::move(done));
  });
  EXPECT_TRUE(right);
  EXPECT_GT(steps.size(), 3U);
  EXPECT_EQ(steps.front(), 0U);
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  EXPECT_EQ(steps.back(), size - 20);
  EXPECT_TRUE(std::ranges::equal(loaded, expected, [](auto a, auto b) { return (a ^ 1U) == b; }));
}

TEST_F(LocalBackendTest, SaysSoWhenNothingMoreArrives) {
  save(backend_, pack_, bytes(1000));
  for (const bool throws : {false, true}) {
    std::vector<std::size_t> sizes;
    EXPECT_THROW(await<Bytes>([&](LoadDone done) {
                   const auto arriving = [&](std::span<std::uint8_t> all, std::size_t arrived) {
                     sizes.push_back(all.size());
                     if (throws && arrived > 0) throw Error(Errc::Io, "thrown");
                   };
                   backend_.load_range_arriving(pack_, {10, throws ? 500U : 5000U}, Urgency::Demand, arriving,
                                                std::move(done));
                 }),
                 Error);
    ASSERT_FALSE(sizes.empty());
    EXPECT_EQ(sizes.back(), 0U);
  }
}

TEST_F(LocalBackendTest, SharesWithTheGroupWhenTheConfigIsShared) {
  save(backend_, config_, bytes(10));
  fs::permissions(folder_.file("config"), fs::perms::group_read, fs::perm_options::add);
  const mode_t before = ::umask(0);
  save(backend_, pack_, bytes(10));
  ::umask(before);
  EXPECT_EQ(mode("data/00/" + pack_.name), 0440U);
  EXPECT_EQ(mode("data/00"), 0770U);
}

TEST_F(LocalBackendTest, LeavesNoTemporaryFilesBehind) {
  save(backend_, pack_, bytes(10));
  save(backend_, config_, bytes(10));
  EXPECT_EQ(code_of([&] { save(backend_, config_, bytes(10)); }), Errc::Usage);
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename().string().find("-tmp-"), std::string::npos) << entry.path();
  }
}

TEST_F(LocalBackendTest, AFifoOrAFolderInPlaceOfAFileIsDamage) {
  save(backend_, numbered_file(FileType::Key, 1), bytes(10));
  const FileName fifo = numbered_file(FileType::Key, 2);
  ASSERT_EQ(::mkfifo(folder_.file(fifo.path()).c_str(), 0600), 0);
  fs::create_directory(folder_.file(numbered_file(FileType::Key, 3).path()));
  EXPECT_EQ(code_of([&] { load(backend_, fifo, 100); }), Errc::Damaged);
  EXPECT_EQ(code_of([&] { load(backend_, numbered_file(FileType::Key, 3), 100); }), Errc::Damaged);
  EXPECT_EQ(list(backend_, FileType::Key).size(), 1U);
}

TEST_F(LocalBackendTest, ADiskThatWentAwayIsAnOutageNotAnEmptyRepository) {
  save(backend_, config_, bytes(10));
  save(backend_, pack_, bytes(10));
  for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove_all(entry.path());
  EXPECT_EQ(code_of([&] { load(backend_, pack_, 100); }), Errc::Unavailable);
  EXPECT_EQ(code_of([&] { load(backend_, config_, 100); }), Errc::Unavailable);
  EXPECT_EQ(code_of([&] { list(backend_, FileType::Snapshot); }), Errc::Unavailable);
}

TEST_F(LocalBackendTest, AFileThatCannotBeLookedAtFailsTheListInsteadOfMissingFromIt) {
  fs::create_directories(folder_.file("index"));
  const std::string path = folder_.file("index/" + numbered_file(FileType::Index, 1).name);
  fs::create_symlink("nowhere", path);
  EXPECT_TRUE(list(backend_, FileType::Index).empty());
  fs::remove(path);
  fs::create_symlink(path, path);
  EXPECT_EQ(code_of([&] { list(backend_, FileType::Index); }), Errc::Io);
}

TEST_F(LocalBackendTest, PacksInTheWrongFolderAreNotListed) {
  save(backend_, pack_, bytes(10));
  fs::create_directory(folder_.file("data/ff"));
  std::ofstream(folder_.file("data/ff/" + pack_.name)) << "stray";
  EXPECT_EQ(list(backend_, FileType::Pack).size(), 1U);
}

TEST(LocalBackend, WantsAFolderThatExists) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(LocalBackend(folder.file("missing"), 0), Error);
  std::ofstream(folder.file("file")) << "x";
  try {
    LocalBackend backend(folder.file("file"), 0);
    FAIL() << "it opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Usage);
  }
}

}  // namespace
}  // namespace restic::transport
