// SPDX-License-Identifier: MIT
#include "repo/load_files.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "support/fake_backend.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using transport::FileInfo;
using transport::FileType;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr std::uint64_t kLimit = 1000;

class LoadFilesTest : public testing::Test {
 protected:
  // A small one that the list gives `size` bytes.
  void add(std::uint64_t size) {
    const auto number = static_cast<unsigned>(files_.size());
    const transport::FileName file = test::numbered_file(FileType::Snapshot, number);
    backend_.put(file, Bytes(1 + number, 7));
    files_.push_back({file.name, size});
  }

  void hang_on_loads() {
    backend_.set_hook(
        [](const Call&) -> Fault { return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; });
  }

  // How often each was handled.
  std::vector<unsigned> load() {
    std::mutex mutex;
    std::vector<unsigned> handled(files_.size());
    load_files(backend_, pool_, FileType::Snapshot, files_, kLimit,
               [&](std::size_t position, const Result<Bytes>& content) {
                 const std::lock_guard lock(mutex);
                 ++handled[position];
                 EXPECT_TRUE(content.ok() && content.value().size() == position + 1);
               });
    return handled;
  }

  // The first `expected` are under way, and no other is started before they have come.
  void expect_under_way(std::size_t expected) {
    hang_on_loads();
    std::future<std::vector<unsigned>> loaded = std::async(std::launch::async, [this] { return load(); });
    backend_.wait_for_hung(expected);
    EXPECT_EQ(loaded.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    EXPECT_EQ(backend_.count(Call::Kind::Load), expected);
    backend_.set_hook({});
    backend_.release_hung();
    EXPECT_EQ(loaded.get(), std::vector<unsigned>(files_.size(), 1));
  }

  test::FakeBackend backend_;
  CpuPool pool_{2};
  std::vector<FileInfo> files_;
};

TEST_F(LoadFilesTest, SmallOnesAreUnderWayTwiceAsManyAsTheBackendLikes) {
  for (int i = 0; i < 100; ++i) add(500);
  expect_under_way(std::size_t{2} * backend_.parallelism());
}

TEST_F(LoadFilesTest, LargeOnesAreUnderWayAsFarAsTheyFit) {
  for (int i = 0; i < 30; ++i) add(10 * kMiB);
  expect_under_way(6);
}

TEST_F(LoadFilesTest, OneThatDoesNotFitAtAllIsLoadedByItself) {
  for (int i = 0; i < 5; ++i) add(UINT64_MAX);
  expect_under_way(1);
}

TEST_F(LoadFilesTest, NoMoreIsLoadedThanWasListed) {
  add(500);
  files_[0].size = 0;
  std::optional<Errc> code;
  load_files(backend_, pool_, FileType::Snapshot, files_, kLimit,
             [&](std::size_t, const Result<Bytes>& content) { code = content.error().code(); });
  EXPECT_EQ(code, Errc::Damaged);
}

TEST_F(LoadFilesTest, NoneIsAFineNumber) { EXPECT_TRUE(load().empty()); }

TEST_F(LoadFilesTest, OneThatIsLongerThanItMayBeIsAnErrorOfItsOwn) {
  add(500);
  backend_.put({FileType::Snapshot, files_[0].name}, Bytes(kLimit + 1));
  std::optional<Errc> code;
  load_files(backend_, pool_, FileType::Snapshot, files_, kLimit,
             [&](std::size_t, const Result<Bytes>& content) { code = content.error().code(); });
  EXPECT_EQ(code, Errc::Damaged);
}

}  // namespace
}  // namespace restic::repo
