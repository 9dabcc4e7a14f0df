// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/blob_reader_test.h"

namespace restic::repo {
namespace {

using test::Call;
using test::corrupted;
using test::fail_with;
using test::Fault;
using test::kKiB;
using test::PackBlobReaderTest;
using transport::Urgency;

TEST_F(PackBlobReaderTest, CorruptionOnTheLineIsReadOnceMore) {
  const auto keys = add_many(1, 2, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([this](const Call&) { return ranges() == 1 ? corrupted() : Fault{}; });
  const auto slots = reader_->request(keys, Urgency::Demand);
  expect_content(slots[0]->wait(), 1, 10 * kKiB);
  expect_content(slots[1]->wait(), 2, 10 * kKiB);
  EXPECT_EQ(ranges(), 2U);
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(PackBlobReaderTest, TheRestOfATruncatedPackStaysReadable) {
  const auto keys = add_many(1, 4, 10 * kKiB);
  const Id pack = packs_.close();
  Bytes cut = *backend_.get(test::pack_file(pack));
  cut.resize(cut.size() - 5);
  backend_.put(test::pack_file(pack), cut);
  start();
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 3; ++i) expect_content(slots[i]->wait(), 1 + i, 10 * kKiB);
  const Error error = load_error(keys[3]);
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr(keys[3].id.short_hex()));
  EXPECT_THAT(error.what(), testing::HasSubstr("data/" + pack.hex()));
}

TEST_F(PackBlobReaderTest, ABadSectorSpoilsOnlyTheBlobThatIsOnIt) {
  const auto keys = add_many(1, 4, 10 * kKiB);
  packs_.close();
  start();
  const std::uint64_t bad = packs_.packs()[0].blobs[2].offset + 100;
  backend_.set_hook([bad](const Call& call) {
    const bool touches = call.kind == Call::Kind::LoadRange && call.range.offset <= bad &&
                         bad < call.range.offset + call.range.length;
    return touches ? fail_with(Errc::Io) : Fault{};
  });
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (const std::uint32_t good : {0U, 1U, 3U}) expect_content(slots[good]->wait(), 1 + good, 10 * kKiB);
  EXPECT_EQ(load_error(keys[2]).code(), Errc::Io);
}

TEST_F(PackBlobReaderTest, AnotherCopyIsReadWhenOneIsDamaged) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  const Id first = packs_.close();
  packs_.add_numbered(1, 10 * kKiB);
  const Id second = packs_.close();
  for (const Id& damaged : {first, second}) {
    backend_.set_hook(
        [&](const Call& call) { return call.file.name == damaged.hex() ? corrupted() : Fault{}; });
    start();
    expect_content(reader_->load(key), 1, 10 * kKiB);
  }
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(PackBlobReaderTest, AnotherCopyIsReadWhenAPackIsMissing) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  const Id first = packs_.close();
  packs_.add_numbered(1, 10 * kKiB);
  const Id second = packs_.close();
  for (const Id& missing : {first, second}) {
    const Bytes kept = *backend_.get(test::pack_file(missing));
    backend_.drop(test::pack_file(missing));
    start();
    expect_content(reader_->load(key), 1, 10 * kKiB);
    backend_.put(test::pack_file(missing), kept);
  }
}

TEST_F(PackBlobReaderTest, ABlobThatPruneMovedIsFoundThroughAFreshIndex) {
  const auto keys = add_many(1, 3, 10 * kKiB);
  const Id old_pack = packs_.close();
  start();
  backend_.drop(test::pack_file(old_pack));
  on_refresh_ = [&] {
    test::PackMaker pruned(backend_, crypto_);
    for (std::uint32_t i = 0; i < 3; ++i) pruned.add_numbered(1 + i, 10 * kKiB);
    pruned.close();
    publish(pruned.index(pool_));
  };
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 3; ++i) expect_content(slots[i]->wait(), 1 + i, 10 * kKiB);
  EXPECT_EQ(refreshes_, 1);
}

TEST_F(PackBlobReaderTest, ADamagedPackAsksForAFreshIndexOnceOnly) {
  const auto keys = add_many(1, 5, 10 * kKiB);
  const Id pack = packs_.close();
  start();
  backend_.drop(test::pack_file(pack));
  for (const BlobKey& key : keys) {
    const Error error = load_error(key);
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("data/" + pack.hex() + ": the storage says that the pack is not there"));
  }
  EXPECT_EQ(refreshes_, 1);
}

TEST_F(PackBlobReaderTest, AFailedRefreshLeavesTheFirstError) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return corrupted(); });
  on_refresh_ = [] { throw Error(Errc::Unavailable, "the network is down"); };
  const Error error = load_error(key);
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("MAC"));
}

TEST_F(PackBlobReaderTest, AnOutageIsReportedAtOnceAndTheNextReadWorks) {
  const auto keys = add_many(1, 3, 10 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return fail_with(Errc::Unavailable); });
  for (const auto& slot : reader_->request(keys, Urgency::Demand)) {
    EXPECT_THROW(slot->wait(), Error);
  }
  EXPECT_EQ(ranges(), 1U);
  EXPECT_EQ(refreshes_, 0);
  backend_.set_hook({});
  expect_content(reader_->load(keys[1]), 2, 10 * kKiB);
}

TEST_F(PackBlobReaderTest, ABlobOfAnotherContentIsDamaged) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  packs_.packs()[0].blobs[0].key.id = test::numbered_id(9);
  start();
  const Error error = load_error({BlobType::Data, test::numbered_id(9)});
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("content"));
  EXPECT_EQ(load_error(key).code(), Errc::NotFound);
}

// One blob whose content is not what its id says, among others that arrive together with it.
struct WrongContentTest : PackBlobReaderTest, testing::WithParamInterface<bool> {
  void make(const std::vector<std::size_t>& sizes) {
    backend_.lends = GetParam();
    sizes_ = sizes;
    for (std::uint32_t i = 0; i < sizes.size(); ++i) {
      keys_.push_back(packs_.add_numbered(i, sizes[i], i % 3 == 0));
    }
    packs_.close();
  }

  // Each blob is read once, and only the wrong one a second time.
  void expect_one_to_fail(std::size_t wrong) {
    SCOPED_TRACE(wrong);
    const std::vector<PackedBlob> blobs = packs_.packs()[0].blobs;
    std::vector<BlobKey> keys = keys_;
    keys[wrong].id = packs_.packs()[0].blobs[wrong].key.id = test::numbered_id(9);
    start();
    backend_.forget_calls();
    const auto slots = reader_->request(keys, Urgency::Demand);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      if (i != wrong) expect_content(slots[i]->wait(), i, sizes_[i]);
    }
    try {
      slots[wrong]->wait();
      ADD_FAILURE() << "the wrong content was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
      EXPECT_THAT(error.what(), testing::HasSubstr(keys[wrong].id.short_hex()));
      EXPECT_THAT(error.what(), testing::HasSubstr("content"));
    }
    std::uint64_t read = 0;
    for (const Call& call : backend_.calls()) read += call.range.length;
    EXPECT_EQ(read, blobs.back().offset + blobs.back().length + blobs[wrong].length);
    packs_.packs()[0].blobs = blobs;
  }

  std::vector<std::size_t> sizes_;
  std::vector<BlobKey> keys_;
};

TEST_P(WrongContentTest, SpoilsNoneOfTheSmallBlobsOfItsRange) {
  // More than are hashed together, and large ones among them, which are hashed by themselves.
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < 70; ++i) sizes.push_back(i % 8 == 1 ? 70 * kKiB : i * 97 + 1);
  make(sizes);
  for (const std::size_t wrong : {0U, 1U, 2U, 40U, 69U}) expect_one_to_fail(wrong);
}

TEST_P(WrongContentTest, SpoilsNoneOfTheLargeBlobsThatAreHashedBesideIt) {
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < 60; ++i) sizes.push_back((100 + i % 7 * 40) * kKiB + i);
  make(sizes);
  for (const std::size_t wrong : {0U, 1U, 31U, 59U}) expect_one_to_fail(wrong);
}

INSTANTIATE_TEST_SUITE_P(OnBothKindsOfThreads, WrongContentTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "TheBackends" : "ThePools"; });

TEST_F(PackBlobReaderTest, AFalseUncompressedLengthIsDamaged) {
  const BlobKey key = packs_.add(Bytes(10 * kKiB, 'x'), BlobType::Data, true);
  packs_.close();
  for (const std::uint32_t claimed : {1U, 10U * 1024 - 1, 10U * 1024 + 1, 1U << 20U}) {
    packs_.packs()[0].blobs[0].uncompressed_length = claimed;
    start();
    EXPECT_EQ(load_error(key).code(), Errc::Damaged) << claimed;
  }
}

TEST_F(PackBlobReaderTest, NoMemoryIsTakenOnTheWordOfAnIndex) {
  const BlobKey key = packs_.add_numbered(1, 100);
  packs_.close();
  packs_.packs()[0].blobs[0].length = 1U << 30U;
  start();
  EXPECT_EQ(load_error(key).code(), Errc::Damaged);
  EXPECT_EQ(ranges(), 0U);
}

}  // namespace
}  // namespace restic::repo
