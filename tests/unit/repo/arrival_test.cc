// SPDX-License-Identifier: MIT
#include "repo/arrival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "repo/compression.h"
#include "support/pack_material.h"
#include "support/some_key.h"

namespace restic::repo {
namespace {

// One blob that arrives on this thread and is opened on the pool, or here.
class ArrivalTest : public testing::TestWithParam<bool> {
 protected:
  ArrivalTest() {
    Bytes stored;
    compress(content_, stored);
    crypto_.seal(stored, sealed_);
    blob_ = {{BlobType::Data, Id::of(content_)},
             0,
             static_cast<std::uint32_t>(sealed_.size()),
             static_cast<std::uint32_t>(content_.size())};
  }
  ~ArrivalTest() override { gate_->close(); }

  std::shared_ptr<Arrival> expect_arrival(bool told = true) {
    told_ = {};
    return std::make_shared<Arrival>(decoder_, GetParam() ? &pool_ : nullptr, gate_, blob_,
                                     [this, told](Result<BlobPtr> blob) {
                                       EXPECT_TRUE(told);
                                       told_.set_value(std::move(blob));
                                     });
  }
  // An attempt that comes so far, and where it has come.
  Bytes deliver(Arrival& arrival, std::size_t until) {
    Bytes place(sealed_.size());
    arrival.on(place, 0);
    for (std::size_t arrived = 0; arrived < until;) {
      const std::size_t next = std::min(arrived + 50'000, until);
      std::copy_n(sealed_.data() + arrived, next - arrived, place.data() + arrived);
      arrival.on(place, arrived = next);
    }
    return place;
  }
  void expect_finished(Arrival& arrival, Bytes place) {
    Result<Bytes> bytes = std::move(place);
    MemoryHold hold = std::make_shared<int>();
    auto told = told_.get_future();
    ASSERT_TRUE(arrival.finish(bytes, hold));
    const Result<BlobPtr> blob = told.get();
    ASSERT_TRUE(blob.ok());
    EXPECT_TRUE(std::ranges::equal(blob.value()->bytes, content_));
  }

  const Bytes content_ = test::numbered_content(1, 1'500'000);
  Crypto crypto_{test::some_key()};
  CpuPool pool_{2};
  BlobDecoder decoder_{crypto_, pool_};
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  Bytes sealed_;
  PackedBlob blob_;
  std::promise<Result<BlobPtr>> told_;
};

INSTANTIATE_TEST_SUITE_P(OnThePoolOrWhereItComes, ArrivalTest, testing::Values(true, false));

TEST_P(ArrivalTest, IsOpenedWhileItComes) {
  for (int round = 0; round < 20; ++round) {
    const auto arrival = expect_arrival();
    expect_finished(*arrival, deliver(*arrival, sealed_.size()));
  }
}

TEST_P(ArrivalTest, NothingOfAFailedAttemptIsTouchedOrUsedAfterwards) {
  for (std::size_t until = 0; until < sealed_.size(); until += 77'777) {
    const auto arrival = expect_arrival();
    {
      const Bytes place = deliver(*arrival, until);
      arrival->on({}, 0);
    }  // and the memory is gone
    expect_finished(*arrival, deliver(*arrival, sealed_.size()));
  }
}

TEST_P(ArrivalTest, LeavesTheGateWhenItIsAbandonedThoughTheAttemptGoesOn) {
  for (int round = 0; round < 20; ++round) {
    const auto gate = std::make_shared<Gate>();
    const auto other = std::make_shared<Arrival>(decoder_, GetParam() ? &pool_ : nullptr, gate, blob_,
                                                 [](const Result<BlobPtr>&) { ADD_FAILURE() << "told"; });
    Bytes place = deliver(*other, 600'000);
    other->abandon();
    gate->close();  // returns
    other->on(place, sealed_.size());
    Result<Bytes> bytes = std::move(place);
    MemoryHold hold;
    EXPECT_FALSE(other->finish(bytes, hold));
  }
}

TEST_P(ArrivalTest, BeginsNothingBehindAClosedGateNorForAnotherLength) {
  const auto arrival = expect_arrival(false);
  Bytes longer(sealed_.size() + 1);
  arrival->on(longer, 0);
  arrival->on(longer, longer.size());
  Result<Bytes> bytes = std::move(longer);
  MemoryHold hold;
  EXPECT_FALSE(arrival->finish(bytes, hold));
  EXPECT_TRUE(bytes.ok());
  gate_->close();
  bytes = deliver(*arrival, sealed_.size());
  EXPECT_FALSE(arrival->finish(bytes, hold));
  EXPECT_EQ(bytes.value(), sealed_);
}

TEST_P(ArrivalTest, ADamagedBlobIsTold) {
  sealed_[sealed_.size() / 2] ^= 1U;
  const auto arrival = expect_arrival();
  auto told = told_.get_future();
  Result<Bytes> bytes = deliver(*arrival, sealed_.size());
  MemoryHold hold;
  ASSERT_TRUE(arrival->finish(bytes, hold));
  const Result<BlobPtr> blob = told.get();
  ASSERT_FALSE(blob.ok());
  EXPECT_EQ(blob.error().code(), Errc::Damaged);
}

}  // namespace
}  // namespace restic::repo
