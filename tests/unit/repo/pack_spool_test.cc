// SPDX-License-Identifier: MIT
#include "repo/pack_spool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <optional>

#include "base/error.h"
#include "support/bytes_of.h"
#include "support/nameless_files.h"
#include "support/noise.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using test::nameless_files_below;
using test::noise;
using transport::SharedContent;

class PackSpoolTest : public testing::Test {
 protected:
  struct Outcome {
    SharedContent on_disk;
    SharedBytes in_memory;
  };
  static Outcome put(PackSpool& spool, SharedBytes pack) {
    const auto told = std::make_shared<std::promise<Outcome>>();
    const Id name = Id::of(*pack);
    spool.put(std::move(pack), name, [told](SharedContent on_disk, SharedBytes in_memory) {
      told->set_value({std::move(on_disk), std::move(in_memory)});
    });
    return told->get_future().get();
  }
  Outcome put(SharedBytes pack) { return put(*spool_, std::move(pack)); }
  static SharedBytes shared(Bytes bytes) { return std::make_shared<const Bytes>(std::move(bytes)); }
  std::vector<std::string> files() const { return nameless_files_below(folder_.path()); }

  test::TemporaryFolder folder_;
  UniqueFd fd_{::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  Log log_{Log::Sink::Nothing};
  std::optional<PackSpool> spool_{std::in_place, fd_.get(), log_};
};

TEST_F(PackSpoolTest, APackOnTheDiskIsReadAsOftenAsNeededAndItsMemoryIsFree) {
  for (const std::size_t size : {1U, 65535U, 65536U, 65537U, 3'000'000U}) {
    const Bytes pack = noise(size, size);
    SharedBytes given = shared(pack);
    const std::weak_ptr<const Bytes> memory = given;
    const Outcome put_there = put(std::move(given));
    ASSERT_TRUE(put_there.on_disk);
    EXPECT_FALSE(put_there.in_memory);
    EXPECT_TRUE(memory.expired());
    EXPECT_EQ(put_there.on_disk->size(), size);
    for (int attempt = 0; attempt < 2; ++attempt) {
      EXPECT_TRUE(test::bytes_of(*put_there.on_disk) == pack) << size;
    }
    const auto begun = put_there.on_disk->read();
    EXPECT_EQ(begun->next(1).size(), 1U);
    EXPECT_TRUE(transport::equals(*put_there.on_disk, pack)) << "two readers at once";
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "its files have no names";
}

TEST_F(PackSpoolTest, WithoutAFolderEverythingStaysInMemory) {
  PackSpool spool(-1, log_);
  const SharedBytes pack = shared(noise(1000, 1));
  bool told = false;
  spool.put(pack, Id::of(*pack), [&](const SharedContent& on_disk, const SharedBytes& in_memory) {
    told = true;
    EXPECT_FALSE(on_disk);
    EXPECT_EQ(in_memory, pack);
  });
  EXPECT_TRUE(told) << "on the caller's thread";
}

TEST_F(PackSpoolTest, WhatTheDiskGivesBackChangedIsNeverReadToItsEnd) {
  const Bytes pack = noise(200'000, 1);
  const Outcome put_there = put(shared(pack));
  ASSERT_EQ(files().size(), 1U);
  const UniqueFd file(::open(files()[0].c_str(), O_RDWR | O_CLOEXEC));
  const auto expect_damaged = [&](const std::string& how) {
    const auto reader = put_there.on_disk->read();
    std::size_t read = 0;
    try {
      for (ByteView piece = reader->next(10'000); !piece.empty(); piece = reader->next(10'000)) {
        read += piece.size();
      }
      ADD_FAILURE() << how;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
      EXPECT_THAT(error.what(), testing::HasSubstr("pack " + Id::of(pack).short_hex()));
    }
    EXPECT_LT(read, pack.size());
  };
  for (const off_t place : {0, 100'000, 199'999}) {
    std::uint8_t byte = pack[static_cast<std::size_t>(place)] ^ 1U;
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, place), 1);
    expect_damaged("a changed byte went unnoticed");
    byte ^= 1U;
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, place), 1);
  }
  EXPECT_TRUE(transport::equals(*put_there.on_disk, pack));
  ASSERT_EQ(::ftruncate(file.get(), 199'999), 0);
  expect_damaged("a missing byte went unnoticed");
}

TEST_F(PackSpoolTest, MoreThanItsRoomStaysInMemory) {
  constexpr std::size_t kMoreThanHalf = PackSpool::kMost / 2 + 1;
  Outcome first = put(shared(Bytes(kMoreThanHalf)));
  EXPECT_TRUE(first.on_disk);
  EXPECT_FALSE(put(shared(Bytes(kMoreThanHalf))).on_disk);
  EXPECT_TRUE(put(shared(Bytes(1000))).on_disk);
  first = {};
  EXPECT_TRUE(put(shared(Bytes(kMoreThanHalf))).on_disk) << "the room was not given back";
}

TEST_F(PackSpoolTest, FilesAreWrittenOverUntilNobodyUsesAny) {
  Outcome kept = put(shared(noise(100'000, 1)));
  for (std::uint64_t seed = 2; seed < 10; ++seed) {
    const Bytes pack = noise(200'000 - seed * 10'000, seed);
    EXPECT_TRUE(transport::equals(*put(shared(pack)).on_disk, pack));
  }
  EXPECT_EQ(files().size(), 2U);
  EXPECT_TRUE(transport::equals(*kept.on_disk, noise(100'000, 1)));
  kept = {};
  EXPECT_TRUE(files().empty());
}

TEST_F(PackSpoolTest, ItsEndWaitsForWhatIsAskedFor) {
  std::vector<std::future<bool>> told;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    auto promise = std::make_shared<std::promise<bool>>();
    told.push_back(promise->get_future());
    const SharedBytes pack = shared(noise(500'000, seed));
    spool_->put(pack, Id::of(*pack), [promise, pack](const SharedContent& on_disk, const SharedBytes&) {
      promise->set_value(on_disk && transport::equals(*on_disk, *pack));
    });
  }
  spool_.reset();
  for (auto& each : told) {
    ASSERT_EQ(each.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_TRUE(each.get());
  }
}

}  // namespace
}  // namespace restic::repo
