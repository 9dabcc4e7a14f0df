// SPDX-License-Identifier: MIT
#include "repo/index_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "support/fake_clock.h"

namespace restic::repo {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

PackEntry pack_of(std::size_t blobs) {
  PackEntry pack{Id::of(as_bytes(std::to_string(blobs))), {}};
  pack.blobs.resize(blobs, PackedBlob{{BlobType::Data, {}}, 0, 32, 0});
  return pack;
}

class IndexWriterTest : public testing::Test {
 protected:
  test::FakeClock clock_;
  std::vector<std::size_t> files_;  // how many blobs each has
  IndexWriter writer_{clock_, [this](const std::vector<PackEntry>& packs) {
                        std::size_t blobs = 0;
                        for (const PackEntry& pack : packs) blobs += pack.blobs.size();
                        files_.push_back(blobs);
                      }};
};

TEST_F(IndexWriterTest, AFileIsDueAtFiftyThousandBlobsInWholePacks) {
  writer_.add(pack_of(30000));
  writer_.add(pack_of(19999));
  EXPECT_THAT(files_, IsEmpty());
  writer_.add(pack_of(700));
  EXPECT_THAT(files_, ElementsAre(50699));
  writer_.add(pack_of(10));
  EXPECT_THAT(files_, ElementsAre(50699));
}

TEST_F(IndexWriterTest, AFileIsDueTenMinutesAfterItsFirstPack) {
  clock_.advance(1h);
  writer_.add(pack_of(1));
  clock_.advance(9min);
  writer_.add(pack_of(2));
  EXPECT_THAT(files_, IsEmpty());
  clock_.advance(1min);
  writer_.add(pack_of(3));
  EXPECT_THAT(files_, ElementsAre(6));
}

TEST_F(IndexWriterTest, FlushWritesTheRestButNoEmptyFile) {
  writer_.flush();
  EXPECT_THAT(files_, IsEmpty());
  writer_.add(pack_of(5));
  writer_.flush();
  writer_.flush();
  EXPECT_THAT(files_, ElementsAre(5));
}

TEST_F(IndexWriterTest, WhoFindsNothingToFlushComesAfterTheOneWhoTookIt) {
  std::atomic<bool> is_written{false};
  std::future<bool> other;
  IndexWriter* self = nullptr;
  IndexWriter writer(clock_, [&](const std::vector<PackEntry>&) {
    other = std::async(std::launch::async, [&] {
      self->flush();
      return is_written.load();
    });
    other.wait_for(20ms);  // time to pass by, if it can
    is_written = true;
  });
  self = &writer;
  writer.add(pack_of(5));
  writer.flush();
  EXPECT_TRUE(other.get());
}

}  // namespace
}  // namespace restic::repo
