// SPDX-License-Identifier: MIT
#include "repo/blob_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "repo/crypto.h"
#include "repo/pack_header.h"
#include "support/fake_clock.h"
#include "support/made_repository.h"
#include "support/noise.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using test::Call;
using test::Fault;
using test::noise;
using transport::FileType;

Bytes text(std::size_t size, std::uint64_t seed) {
  Bytes bytes = noise(size, seed);
  for (std::uint8_t& byte : bytes) byte = 'a' + byte % 4;
  return bytes;
}

class BlobWriterTest : public testing::Test {
 protected:
  static constexpr std::size_t kPackSize = 64U << 10U;

  std::unique_ptr<BlobWriter> new_writer(UploadQueue::MayWrite may_write = [] { return Status(Unit{}); }) {
    return std::make_unique<BlobWriter>(made_.repository(), budget_, spool_, clock_, std::move(may_write),
                                        kPackSize);
  }
  std::vector<PackEntry> packs() {
    const auto repository = made_.open_again();
    const auto index = repository->index();
    std::vector<PackEntry> all;
    for (std::uint32_t number = 0; number < index->pack_count(); ++number) {
      std::vector<BlobPlace> places;
      index->in_pack(number, 0, ~std::uint64_t{0}, ~std::size_t{0}, places);
      PackEntry entry{places.at(0).pack, {}};
      for (const BlobPlace& place : places) entry.blobs.push_back(place.blob);
      all.push_back(std::move(entry));
    }
    return all;
  }
  static std::uint64_t sealed_size(const PackEntry& pack) {
    return pack.blobs.back().offset + pack.blobs.back().length;
  }

  test::MadeRepository made_;
  test::FakeClock clock_;
  MemoryBudget budget_{64U << 20U};
  PackSpool spool_{-1, made_.repository().log()};
};

TEST_F(BlobWriterTest, WhatWasStoredCanBeReadAfterAFlush) {
  std::vector<std::pair<BlobKey, Bytes>> stored;
  {
    const auto writer = new_writer();
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{255}, std::size_t{256},
                             std::size_t{5000}, std::size_t{63} << 10U, std::size_t{200} << 10U}) {
      for (const BlobType type : {BlobType::Data, BlobType::Tree}) {
        for (const Bytes& plain : {noise(size, size), text(size, size)}) {
          stored.emplace_back(BlobKey{type, writer->store(type, plain).id}, plain);
        }
      }
    }
    writer->flush({});
  }
  EXPECT_EQ(budget_.used(), 0U);
  const auto repository = made_.open_again();
  for (const auto& [key, plain] : stored) {
    EXPECT_EQ(key.id, Id::of(plain));
    EXPECT_TRUE(std::ranges::equal(repository->blobs().load(key)->bytes, plain)) << plain.size();
  }
  EXPECT_EQ(made_.check_consistency(), 0U);
}

TEST_F(BlobWriterTest, OneBlobIsStoredOnceHoweverManyStoreIt) {
  const auto writer = new_writer();
  std::vector<std::jthread> threads;
  std::atomic<std::uint64_t> new_blobs{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t seed = 0; seed < 50; ++seed) {
        new_blobs += writer->store(BlobType::Data, noise(3000, seed)).added.data_blobs;
      }
    });
  }
  threads.clear();
  writer->flush({});
  EXPECT_EQ(new_blobs, 50U);
  std::size_t listed = 0;
  for (const PackEntry& pack : packs()) listed += pack.blobs.size();
  EXPECT_EQ(listed, 50U);
}

TEST_F(BlobWriterTest, WhatTheIndexNamesIsNotStoredAgain) {
  {
    const auto writer = new_writer();
    writer->store(BlobType::Data, noise(3000, 1));
    writer->flush({});
  }
  made_.repository().refresh_index();
  made_.backend().forget_calls();
  const auto writer = new_writer();
  EXPECT_EQ(writer->store(BlobType::Data, noise(3000, 1)).added.data_blobs, 0U);
  EXPECT_EQ(writer->store(BlobType::Tree, noise(3000, 1)).added.tree_blobs, 1U);
  writer->flush({});
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Pack), 1U);
}

TEST_F(BlobWriterTest, KeepsTreesAndDataApartAndEndsAPackWithTheBlobThatFillsIt) {
  const auto writer = new_writer();
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    writer->store(BlobType::Data, noise(10000, seed));
    writer->store(BlobType::Tree, noise(10000, seed));
  }
  writer->flush({});
  std::size_t small = 0;
  for (const PackEntry& pack : packs()) {
    const BlobType type = pack.blobs.front().key.type;
    EXPECT_TRUE(
        std::ranges::all_of(pack.blobs, [&](const PackedBlob& blob) { return blob.key.type == type; }));
    if (sealed_size(pack) < kPackSize) ++small;
    EXPECT_LT(sealed_size(pack) - pack.blobs.back().length, kPackSize);
  }
  EXPECT_LE(small, 2U);  // the last of each kind
}

TEST_F(BlobWriterTest, ABlobAsLargeAsAPackIsAloneInOne) {
  const auto writer = new_writer();
  writer->store(BlobType::Data, noise(100, 1));
  const Id large = writer->store(BlobType::Data, noise(kPackSize, 2)).id;
  writer->store(BlobType::Data, noise(100, 3));
  writer->flush({});
  for (const PackEntry& pack : packs()) {
    const bool has_large =
        std::ranges::any_of(pack.blobs, [&](const PackedBlob& blob) { return blob.key.id == large; });
    EXPECT_EQ(pack.blobs.size(), has_large ? 1U : 2U);
  }
}

TEST_F(BlobWriterTest, CompressesTreesAlwaysAndDataWhereItShrinks) {
  const auto writer = new_writer();
  const Id dense = writer->store(BlobType::Data, noise(5000, 1)).id;
  const Id loose = writer->store(BlobType::Data, text(5000, 2)).id;
  const Id tree = writer->store(BlobType::Tree, noise(10, 3)).id;
  writer->flush({});
  std::map<Id, std::uint32_t> uncompressed_lengths;
  for (const PackEntry& pack : packs()) {
    for (const PackedBlob& blob : pack.blobs) uncompressed_lengths[blob.key.id] = blob.uncompressed_length;
  }
  EXPECT_EQ(uncompressed_lengths.at(dense), 0U);
  EXPECT_EQ(uncompressed_lengths.at(loose), 5000U);
  EXPECT_EQ(uncompressed_lengths.at(tree), 10U);
}

TEST_F(BlobWriterTest, IndexFilesNameOnlyPacksThatAreThere) {
  made_.backend().set_hook([this](const Call& call) -> Fault {
    Fault fault;
    if (call.kind != Call::Kind::Save) return fault;
    if (call.file.type == FileType::Pack) fault.delay = 20ms;
    if (call.file.type == FileType::Index) {
      EXPECT_EQ(made_.backend().names(FileType::Pack).size(),
                made_.backend().count(Call::Kind::Save, FileType::Pack));
    }
    return fault;
  });
  const auto writer = new_writer();
  for (std::uint64_t seed = 0; seed < 30; ++seed) writer->store(BlobType::Data, noise(10000, seed));
  writer->flush({});
  EXPECT_EQ(made_.backend().count(Call::Kind::Save, FileType::Index), 1U);
  EXPECT_EQ(packs().size(), made_.backend().names(FileType::Pack).size());
}

TEST_F(BlobWriterTest, TheFirstFailureIsFinalAndNothingIsIndexedThatIsNotThere) {
  made_.backend().set_hook([this](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Save || call.file.type != FileType::Pack) return {};
    if (made_.backend().count(Call::Kind::Save, FileType::Pack) != 3) return {};
    return {.fail = Error(Errc::Full, "no space"), .fail_after = {}, .truncate = {}};
  });
  const auto writer = new_writer();
  try {
    for (std::uint64_t seed = 0; seed < 100; ++seed) writer->store(BlobType::Data, noise(10000, seed));
    writer->flush({});
    FAIL() << "the failure was lost";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Full);
  }
  EXPECT_THROW(writer->store(BlobType::Data, noise(10000, 1000)), Error);
  EXPECT_THROW(writer->flush({}), Error);
  EXPECT_TRUE(writer->give_up().empty());
  made_.check_consistency();
  EXPECT_EQ(packs().size(), made_.backend().names(FileType::Pack).size());
}

TEST_F(BlobWriterTest, PacksWhoseIndexFailedAreHandedToTheNextWriter) {
  made_.backend().set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Save || call.file.type != FileType::Index) return {};
    return {.fail = Error(Errc::Unavailable, "down"), .fail_after = {}, .truncate = {}};
  });
  std::vector<PackEntry> left;
  Id id;
  {
    const auto writer = new_writer();
    id = writer->store(BlobType::Data, noise(10000, 1)).id;
    EXPECT_THROW(writer->flush({}), Error);
    left = writer->give_up();
  }
  ASSERT_EQ(left.size(), 1U);
  made_.backend().set_hook({});
  const auto next = new_writer();
  next->adopt(std::move(left));
  EXPECT_TRUE(next->has({BlobType::Data, id}));
  EXPECT_EQ(next->store(BlobType::Data, noise(10000, 1)).added.data_blobs, 0U);
  next->flush({});
  EXPECT_EQ(packs().size(), 1U);
}

TEST_F(BlobWriterTest, AnIndexWhoseSaveFailedIsRemovedOrKnownAsAStray) {
  for (const bool can_be_removed : {true, false}) {
    made_.backend().set_hook([&](const Call& call) -> Fault {
      if (call.file.type != FileType::Index) return {};
      if (call.kind == Call::Kind::Save)
        return {.fail = {}, .fail_after = Error(Errc::Timeout, ""), .truncate = {}};
      if (call.kind == Call::Kind::Remove && !can_be_removed)
        return {.fail = Error(Errc::Unavailable, "down"), .fail_after = {}, .truncate = {}};
      return {};
    });
    const auto writer = new_writer();
    writer->store(BlobType::Data, noise(10000, 1));
    try {
      writer->flush({});
      FAIL() << "it was stored";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Timeout);
    }
    EXPECT_EQ(writer->give_up().size(), 1U);
    const std::size_t left = can_be_removed ? 0 : 1;
    EXPECT_EQ(made_.backend().names(FileType::Index).size(), left);
    EXPECT_EQ(writer->take_strays().size(), left);
  }
}

TEST_F(BlobWriterTest, AnIndexThatArrivesAfterTheLockWasLostIsTakenBack) {
  std::atomic<bool> has_lock{true};
  for (const bool answer_is_lost : {false, true}) {
    has_lock = true;
    made_.backend().set_hook([&](const Call& call) -> Fault {
      Fault fault;
      if (call.kind != Call::Kind::Save || call.file.type != FileType::Index) return fault;
      has_lock = false;
      if (answer_is_lost) fault.fail_after = Error(Errc::Timeout, "no answer");
      return fault;
    });
    const auto writer = new_writer(
        [&] { return has_lock ? Status(Unit{}) : Status(Error(Errc::Locked, "the lock is lost")); });
    writer->store(BlobType::Data, noise(10000, 1));
    try {
      writer->flush({});
      FAIL() << "it was content without a lock";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Locked);
    }
    EXPECT_TRUE(made_.backend().names(FileType::Index).empty());
    EXPECT_EQ(writer->give_up().size(), 1U);
  }
}

TEST_F(BlobWriterTest, EachOfSeveralFlushesLeavesItsBlobsInTheIndex) {
  const auto writer = new_writer();
  std::vector<std::jthread> threads;
  for (std::uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 30; ++i) {
        const BlobKey key{BlobType::Data, writer->store(BlobType::Data, noise(100, thread * 100 + i)).id};
        writer->flush({});
        made_.repository().refresh_index();
        EXPECT_TRUE(made_.repository().index()->contains(key));
      }
    });
  }
}

TEST_F(BlobWriterTest, WritesNothingWhenItMayNot) {
  const auto writer = new_writer([] { return Status(Error(Errc::Locked, "the lock is lost")); });
  try {
    writer->store(BlobType::Data, noise(kPackSize, 1));
    writer->flush({});
    FAIL() << "it wrote without a lock";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Locked);
  }
  EXPECT_EQ(made_.backend().count(Call::Kind::Save), 0U);
}

}  // namespace
}  // namespace restic::repo
