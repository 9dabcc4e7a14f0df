// SPDX-License-Identifier: MIT
#include "repo/blob_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "repo/compression.h"
#include "support/pack_material.h"

namespace restic::repo {
namespace {

RawKey some_key() {
  RawKey key;
  key.encrypt.fill(1);
  key.mac_k.fill(2);
  key.mac_r.fill(3);
  return key;
}

class BlobDecoderTest : public ::testing::Test {
 protected:
  void add(ByteView content, bool compressed) {
    Bytes stored(content.begin(), content.end());
    if (compressed) {
      stored.clear();
      compress(content, stored);
    }
    const std::size_t begin = buffer_->size();
    crypto_.seal(stored, *buffer_);
    blobs_.push_back({{BlobType::Data, Id::of(content)},
                      static_cast<std::uint32_t>(begin),
                      static_cast<std::uint32_t>(buffer_->size() - begin),
                      compressed ? static_cast<std::uint32_t>(content.size()) : 0});
  }

  // Waits for all of them.
  std::vector<Result<BlobPtr>> decode() {
    std::vector<SealedBlob> sealed;
    for (const PackedBlob& blob : blobs_) {
      sealed.push_back({blob, std::span(*buffer_).subspan(blob.offset, blob.length)});
    }
    std::mutex mutex;
    std::condition_variable told;
    std::vector<std::optional<Result<BlobPtr>>> results(sealed.size());
    std::size_t left = sealed.size();
    decoder_.decode(sealed, buffer_, [&](std::size_t position, Result<BlobPtr> blob) {
      const std::lock_guard lock(mutex);
      EXPECT_FALSE(results[position].has_value());
      results[position].emplace(std::move(blob));
      --left;
      told.notify_all();
    });
    std::unique_lock lock(mutex);
    told.wait(lock, [&] { return left == 0; });
    std::vector<Result<BlobPtr>> all;
    for (auto& result : results) all.push_back(std::move(*result));
    return all;
  }

  void forget() {
    buffer_ = std::make_shared<Bytes>();
    blobs_.clear();
  }

  Crypto crypto_{some_key()};
  CpuPool pool_;
  BlobDecoder decoder_{crypto_, pool_};
  std::shared_ptr<Bytes> buffer_ = std::make_shared<Bytes>();
  std::vector<PackedBlob> blobs_;
};

// Incompressible from its start to its middle, or all the way.
Bytes half_compressible(std::size_t size) {
  Bytes content = test::numbered_content(3, size);
  std::fill(content.begin() + static_cast<std::ptrdiff_t>(size / 2), content.end(), std::uint8_t{5});
  return content;
}

TEST_F(BlobDecoderTest, OpensALargeBlobThatComesAloneHoweverItWasStored) {
  for (int round = 0; round < 20; ++round) {  // the other thread comes in time, or does not
    for (const std::size_t size : {65'536U, 131'072U, 700'001U, 3'000'000U}) {
      for (const bool compressed : {false, true}) {
        for (const Bytes& content :
             {test::numbered_content(1, size), half_compressible(size), Bytes(size, 7)}) {
          forget();
          add(content, compressed);
          const auto result = decode();
          ASSERT_TRUE(result[0].ok()) << size << result[0].error().what();
          EXPECT_TRUE(std::ranges::equal(result[0].value()->bytes, content)) << size;
          EXPECT_GE(result[0].value()->charged, size);
        }
      }
    }
  }
}

TEST_F(BlobDecoderTest, OpensALargeBlobWhileItArrives) {
  for (const std::size_t step : {1000U, 32'768U, 131'072U, 1'000'000U}) {
    for (const bool compressed : {false, true}) {
      for (const Bytes& content : {test::numbered_content(1, 700'001), half_compressible(700'001)}) {
        forget();
        add(content, compressed);
        const Bytes whole = *buffer_;
        std::ranges::fill(*buffer_, std::uint8_t{0});
        std::promise<Result<BlobPtr>> told;
        auto result = told.get_future();
        {
          BlobDecoder::Opening opening(decoder_, {blobs_[0], *buffer_}, BlobDecoder::Opening::State::Arriving,
                                       [&](Result<BlobPtr> blob) { told.set_value(std::move(blob)); });
          for (std::size_t arrived = 0; arrived < whole.size();) {
            const std::size_t next = std::min(arrived + step, whole.size());
            std::copy_n(whole.data() + arrived, next - arrived, buffer_->data() + arrived);
            opening.go_on(arrived = next);
          }
          opening.finish(buffer_);
        }
        const Result<BlobPtr> blob = result.get();
        ASSERT_TRUE(blob.ok());
        EXPECT_TRUE(std::ranges::equal(blob.value()->bytes, content)) << "in steps of " << step;
      }
    }
  }
}

TEST_F(BlobDecoderTest, AnOpeningThatIsGivenUpTellsNobody) {
  for (int round = 0; round < 50; ++round) {
    forget();
    add(test::numbered_content(1, 300'000), true);
    BlobDecoder::Opening opening(decoder_, {blobs_[0], *buffer_}, BlobDecoder::Opening::State::Arriving,
                                 [](const Result<BlobPtr>&) { ADD_FAILURE() << "told"; });
    if (round % 2 == 0) opening.go_on(200'000);
    if (round % 4 == 0) opening.go_on(buffer_->size());
  }
}

TEST_F(BlobDecoderTest, ABlobThatComesAloneIsHashedByAnotherThreadWhileItIsOpened) {
  const Bytes content = test::numbered_content(1, 3'000'000);
  bool by_another = false;
  for (int round = 0; round < 200 && !by_another; ++round) {  // the pool may be late
    forget();
    add(content, true);
    std::promise<std::thread::id> told;
    {
      BlobDecoder::Opening opening(
          decoder_, {blobs_[0], *buffer_}, BlobDecoder::Opening::State::Arriving,
          [&](const Result<BlobPtr>&) { told.set_value(std::this_thread::get_id()); });
      opening.go_on(buffer_->size() - 1);
      opening.finish(buffer_);
    }
    by_another = told.get_future().get() != std::this_thread::get_id();
  }
  EXPECT_TRUE(by_another);
}

TEST_F(BlobDecoderTest, OneOfTwoThatArriveAtOnceIsFollowedAndBothAreRight) {
  const Bytes first = test::numbered_content(1, 700'000);
  const Bytes second = test::numbered_content(2, 500'000);
  for (int round = 0; round < 20; ++round) {
    forget();
    add(first, true);
    add(second, round % 2 == 0);
    std::array<std::promise<Result<BlobPtr>>, 2> told;
    std::array<std::future<Result<BlobPtr>>, 2> results{told[0].get_future(), told[1].get_future()};
    const auto open = [&](std::size_t which) {
      const std::span sealed = std::span(*buffer_).subspan(blobs_[which].offset, blobs_[which].length);
      BlobDecoder::Opening opening(
          decoder_, {blobs_[which], sealed}, BlobDecoder::Opening::State::Arriving,
          [&, which](Result<BlobPtr> blob) { told[which].set_value(std::move(blob)); });
      for (std::size_t at = 0; at < sealed.size(); at += 100'000) opening.go_on(std::min(at, sealed.size()));
      opening.finish(buffer_);
    };
    std::thread other([&] { open(1); });
    open(0);
    other.join();
    EXPECT_TRUE(std::ranges::equal(results[0].get().value()->bytes, first));
    EXPECT_TRUE(std::ranges::equal(results[1].get().value()->bytes, second));
  }
}

TEST_F(BlobDecoderTest, OpensManyInOneBuffer) {
  std::vector<Bytes> contents;
  for (std::uint32_t i = 1; i <= 40; ++i) {
    contents.push_back(i % 3 == 0 ? half_compressible(1000 * i) : test::numbered_content(i, 10'000 * i));
    add(contents.back(), i % 2 == 0);
  }
  const auto results = decode();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].ok()) << i;
    EXPECT_TRUE(std::ranges::equal(results[i].value()->bytes, contents[i])) << i;
  }
}

TEST_F(BlobDecoderTest, WhatTakesMostOfTheBufferIsGivenOutAsPartOfIt) {
  const auto lies_in_buffer = [&](const BlobPtr& blob) {
    return blob->bytes.data() >= buffer_->data() && blob->bytes.data() < buffer_->data() + buffer_->size();
  };
  for (const bool compressed : {false, true}) {
    for (const bool compressible : {false, true}) {
      forget();
      const Bytes content = compressible ? half_compressible(60'000) : test::numbered_content(1, 60'000);
      add(content, compressed);
      buffer_->shrink_to_fit();
      const auto results = decode();
      ASSERT_TRUE(results[0].ok());
      EXPECT_TRUE(std::ranges::equal(results[0].value()->bytes, content));
      EXPECT_EQ(lies_in_buffer(results[0].value()), !(compressed && compressible));
    }
  }
}

TEST_F(BlobDecoderTest, DamageIsToldOnceAndByItsName) {
  const Bytes content = test::numbered_content(1, 1'000'000);
  for (int round = 0; round < 20; ++round) {
    for (const bool compressed : {false, true}) {
      forget();
      add(content, compressed);
      (*buffer_)[compressed ? 20 : 900'000] ^= 1U;
      auto results = decode();
      ASSERT_FALSE(results[0].ok());
      EXPECT_STREQ(results[0].error().what(), "its MAC is wrong");

      forget();
      add(content, compressed);
      blobs_[0].key.id = Id::of(as_bytes("something else"));
      results = decode();
      ASSERT_FALSE(results[0].ok());
      EXPECT_STREQ(results[0].error().what(), "its content is not what its id says");
    }
    forget();
    add(content, true);
    blobs_[0].uncompressed_length += round % 2 == 0 ? 1 : -1;
    const auto results = decode();
    ASSERT_FALSE(results[0].ok());
    EXPECT_EQ(results[0].error().code(), Errc::Damaged);
  }
}

}  // namespace
}  // namespace restic::repo
