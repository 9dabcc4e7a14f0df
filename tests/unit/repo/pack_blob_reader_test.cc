// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <thread>

#include "support/blob_reader_test.h"

namespace restic::repo {
namespace {

using test::Call;
using test::hung;
using test::kKiB;
using test::PackBlobReaderTest;
using transport::Urgency;

TEST_F(PackBlobReaderTest, ReadsPlainAndCompressedBlobsOfBothTypes) {
  const BlobKey plain = packs_.add_numbered(1, 100 * kKiB, false);
  const BlobKey packed = packs_.add_numbered(2, 100 * kKiB, true);
  const BlobKey tree = packs_.add(as_bytes("{\"nodes\":[]}\n"), BlobType::Tree);
  const BlobKey empty = packs_.add({}, BlobType::Data, false);
  packs_.close();
  start();
  expect_content(reader_->load(plain), 1, 100 * kKiB);
  expect_content(reader_->load(packed), 2, 100 * kKiB);
  EXPECT_EQ(as_text(reader_->load(tree)->bytes), "{\"nodes\":[]}\n");
  EXPECT_TRUE(reader_->load(empty)->bytes.empty());
  EXPECT_EQ(reader_->plain_size(packed), 100 * kKiB);
}

TEST_F(PackBlobReaderTest, EightNeighboursAreOneRange) {
  const auto keys = add_many(1, 8, 20 * kKiB);
  packs_.close();
  start();
  const auto slots = reader_->request(keys, Urgency::Demand);
  for (std::uint32_t i = 0; i < 8; ++i) expect_content(slots[i]->wait(), 1 + i, 20 * kKiB);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, ABlobIsFetchedOnceAndThenCached) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  EXPECT_EQ(reader_->cached(key), nullptr);
  const BlobPtr first = reader_->load(key);
  EXPECT_EQ(reader_->cached(key), first);
  EXPECT_TRUE(reader_->request(std::span(&key, 1), Urgency::Demand).front()->ready());
  EXPECT_EQ(reader_->load(key), first);
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, EightReadersOfOneBlobDecodeItOnce) {
  const BlobKey key = packs_.add_numbered(1, 1000 * kKiB);
  packs_.close();
  start();
  backend_.set_hook([](const Call&) { return hung(); });
  std::vector<BlobSlotPtr> slots;
  for (int i = 0; i < 8; ++i) slots.push_back(reader_->request(std::span(&key, 1), Urgency::Demand).front());
  std::vector<std::future<BlobPtr>> readers;
  for (const BlobSlotPtr& slot : slots) {
    readers.push_back(std::async(std::launch::async, [slot] { return slot->wait(); }));
  }
  backend_.wait_for_hung(1);
  backend_.release_hung();
  const BlobPtr blob = readers.front().get();
  for (std::size_t i = 1; i < readers.size(); ++i) EXPECT_EQ(readers[i].get(), blob);
  EXPECT_EQ(ranges(), 1U);
  EXPECT_EQ(reader_->stats().decoded_bytes, 1000 * kKiB);
}

TEST_F(PackBlobReaderTest, AKeyAskedForTwiceInOneCallIsOneFlight) {
  const BlobKey key = packs_.add_numbered(1, 10 * kKiB);
  packs_.close();
  start();
  const std::vector<BlobKey> keys{key, key};
  const auto slots = reader_->request(keys, Urgency::Demand);
  EXPECT_EQ(slots[0]->wait(), slots[1]->wait());
  EXPECT_EQ(ranges(), 1U);
}

TEST_F(PackBlobReaderTest, ASmallPlainBlobDoesNotKeepItsRange) {
  const auto keys = add_many(1, 16, 4 * kKiB);
  packs_.close();
  start();
  settle(reader_->request(keys, Urgency::Demand));
  EXPECT_EQ(ranges(), 1U);
  EXPECT_LE(reader_->load(keys[3])->charged, 5 * kKiB);
}

TEST_F(PackBlobReaderTest, AnUncompressedBlobThatComesByItselfIsNotCopied) {
  const BlobKey key = packs_.add_numbered(1, 60 * kKiB);
  packs_.close();
  start();
  const BlobPtr blob = reader_->load(key);
  EXPECT_EQ(blob->charged, 60 * kKiB + kSealOverhead);
}

TEST_F(PackBlobReaderTest, ABlobInNoIndexIsNotFound) {
  packs_.add_numbered(1, 10);
  packs_.close();
  start();
  const BlobKey unknown{BlobType::Data, test::numbered_id(5)};
  EXPECT_EQ(load_error(unknown).code(), Errc::NotFound);
  EXPECT_EQ(reader_->plain_size(unknown), std::nullopt);
  EXPECT_EQ(ranges(), 0U);
}

}  // namespace
}  // namespace restic::repo
