// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "repo/blob_writer.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/nameless_files.h"
#include "support/noise.h"
#include "support/temporary_folder.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using test::nameless_files_below;
using test::noise;
using transport::FileType;

// A storage that takes no pack for now, and a budget for three.
class BlobWriterSpoolTest : public testing::Test {
 protected:
  static constexpr std::size_t kPackSize = 64U << 10U;
  static constexpr std::size_t kBlob = 16U << 10U;
  static constexpr std::uint64_t kBlobs = 80;  // some 20 packs

  BlobWriterSpoolTest() {
    made_.backend().set_hook([](const Call& call) -> Fault {
      Fault fault;
      fault.hang = call.kind == Call::Kind::Save && call.file.type == FileType::Pack;
      return fault;
    });
  }
  std::unique_ptr<BlobWriter> new_writer() {
    return std::make_unique<BlobWriter>(
        made_.repository(), budget_, spool_, clock_, [] { return Status(Unit{}); }, kPackSize);
  }
  // What a reader of files would wait for.
  [[nodiscard]] bool is_room() const {
    for (int patience = 0; patience < 1000 && !budget_.is_ample(); ++patience) {
      std::this_thread::sleep_for(10ms);
    }
    return budget_.is_ample();
  }
  std::vector<Id> store_all(BlobWriter& writer) {
    std::vector<Id> ids;
    for (std::uint64_t seed = 0; seed < kBlobs; ++seed) {
      ids.push_back(writer.store(BlobType::Data, noise(kBlob, seed)).id);
      if (is_room()) continue;
      ADD_FAILURE() << "memory is taken by packs that wait for the storage";
      break;
    }
    return ids;
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  test::TemporaryFolder folder_;
  UniqueFd fd_{::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  MemoryBudget budget_{4 * kPackSize};
  PackSpool spool_{fd_.get(), made_.repository().log()};
};

TEST_F(BlobWriterSpoolTest, PacksOfASlowStorageLeaveTheMemoryToOthers) {
  const auto writer = new_writer();
  const std::vector<Id> ids = store_all(*writer);
  EXPECT_GE(nameless_files_below(folder_.path()).size(), 15U);
  EXPECT_TRUE(made_.backend().names(FileType::Pack).empty());
  made_.backend().set_hook({});
  made_.backend().release_hung();
  writer->flush({});
  EXPECT_EQ(budget_.used(), 0U);
  const auto repository = made_.open_again();
  for (std::uint64_t seed = 0; seed < kBlobs; ++seed) {
    const auto blob = repository->blobs().load({BlobType::Data, ids[seed]});
    EXPECT_TRUE(std::ranges::equal(blob->bytes, noise(kBlob, seed)));
  }
  EXPECT_EQ(made_.check_consistency(), 0U);
}

TEST_F(BlobWriterSpoolTest, APackThatTheDiskChangedIsNotStoredAndNoIndexNamesIt) {
  const auto writer = new_writer();
  store_all(*writer);
  const std::vector<std::string> files = nameless_files_below(folder_.path());
  ASSERT_FALSE(files.empty());
  for (const std::string& name : files) {
    const UniqueFd file(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), "changed", 7, 1000), 7);
  }
  made_.backend().set_hook({});
  made_.backend().release_hung();
  try {
    writer->flush({});
    FAIL() << "changed packs went unnoticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
  }
  writer->give_up();
  for (const std::string& name : made_.backend().names(FileType::Pack)) {
    EXPECT_EQ(Id::of(*made_.backend().get({FileType::Pack, name})).hex(), name);
  }
  EXPECT_EQ(made_.check_consistency(), 0U);
}

TEST_F(BlobWriterSpoolTest, AFastStorageNeedsNoDisk) {
  made_.backend().set_hook({});
  const auto writer = new_writer();
  for (std::uint64_t seed = 0; seed < kBlobs; ++seed) {
    writer->store(BlobType::Data, noise(kBlob, seed));
    for (int patience = 0; patience < 1000 && budget_.used() > kPackSize; ++patience) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_TRUE(nameless_files_below(folder_.path()).empty());
  }
  writer->flush({});
}

}  // namespace
}  // namespace restic::repo
