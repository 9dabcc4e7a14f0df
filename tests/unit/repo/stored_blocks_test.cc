// SPDX-License-Identifier: MIT
#include "repo/stored_blocks.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <random>
#include <vector>

#include "repo/compression.h"

namespace restic::repo {
namespace {

Bytes noise(std::size_t size, unsigned seed = 1) {
  Bytes bytes(size);
  std::mt19937 random(seed);
  std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(random()); });
  return bytes;
}

Bytes framed(ByteView plain) {
  Bytes frame;
  compress(plain, frame);
  return frame;
}

// All content that the walk shows when the frame arrives in steps of `step` bytes.
Bytes walk(ByteView frame, std::size_t step, bool& ended) {
  StoredBlocks blocks(frame);
  Bytes content;
  for (std::size_t available = 0; available < frame.size();) {
    available = std::min(available + step, frame.size());
    for (ByteView piece = blocks.next(available); !piece.empty(); piece = blocks.next(available)) {
      EXPECT_LE(piece.data() + piece.size(), frame.data() + available);
      content.insert(content.end(), piece.begin(), piece.end());
    }
  }
  ended = blocks.ended();
  return content;
}

TEST(StoredBlocks, ShowsWhatZstdCouldNotCompressInWhateverStepsItArrives) {
  for (const std::size_t size : {200U, 300U, 70'000U, 131'072U, 131'073U, 1'000'000U}) {
    const Bytes plain = noise(size);
    const Bytes frame = framed(plain);
    for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, std::size_t{32'768}, frame.size()}) {
      if (step == 1 && size > 100'000) continue;
      bool ended = false;
      EXPECT_TRUE(walk(frame, step, ended) == plain) << size << " in steps of " << step;
      EXPECT_TRUE(ended) << size << " in steps of " << step;
    }
  }
}

TEST(StoredBlocks, JoinsThemWhereTheyLie) {
  for (const std::size_t size : {200U, 131'072U, 131'073U, 3'000'000U}) {
    const Bytes plain = noise(size);
    Bytes frame = framed(plain);
    const auto joined = join_stored_blocks(frame, size);
    ASSERT_TRUE(joined) << size;
    EXPECT_EQ(joined->data(), frame.data());
    EXPECT_TRUE(std::ranges::equal(*joined, plain)) << size;
  }
}

TEST(StoredBlocks, LeavesEveryOtherFrameAlone) {
  Bytes mixed = noise(400'000);
  std::fill_n(mixed.begin() + 200'000, 100'000,
              std::uint8_t{7});  // one of the blocks in between can be compressed
  std::vector<Bytes> frames{framed(Bytes(100'000, 7)), framed(mixed), noise(1000), Bytes(), Bytes(4)};

  Bytes with_checksum(ZSTD_compressBound(100'000));
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const Bytes plain = noise(100'000);
  with_checksum.resize(
      ZSTD_compress2(context, with_checksum.data(), with_checksum.size(), plain.data(), plain.size()));
  ZSTD_freeCCtx(context);
  frames.push_back(with_checksum);

  Bytes two = framed(plain);
  const Bytes second = framed(plain);
  two.insert(two.end(), second.begin(), second.end());
  frames.push_back(two);

  Bytes cut_short = framed(plain);
  cut_short.pop_back();
  frames.push_back(cut_short);

  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Bytes before = frames[i];
    for (const std::size_t size : {100'000U, 200'000U, 400'000U, 1000U, 0U}) {
      EXPECT_FALSE(join_stored_blocks(frames[i], size)) << "frame " << i << " as " << size;
    }
    EXPECT_EQ(frames[i], before) << "frame " << i;
  }
}

TEST(StoredBlocks, BelievesTheSizeOfTheIndexOnly) {
  const Bytes plain = noise(100'000);
  Bytes frame = framed(plain);
  EXPECT_FALSE(join_stored_blocks(frame, 99'999));
  EXPECT_FALSE(join_stored_blocks(frame, 100'001));
  EXPECT_TRUE(join_stored_blocks(frame, 100'000));
}

// Whatever a frame says, the walk stays within it and ends; and what it shows to its end is what zstd makes
// of it, if zstd takes it.
TEST(StoredBlocks, HostileFramesEndInAnAnswer) {
  std::mt19937 random(5);
  const Bytes plain = noise(300);
  const Bytes right = framed(plain);
  int ended_times = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes frame = right;
    for (unsigned flips = random() % 4; flips > 0; --flips) {
      frame[random() % 16] ^= static_cast<std::uint8_t>(1U << random() % 8);
    }
    bool ended = false;
    const Bytes content = walk(frame, 1 + random() % 100, ended);
    EXPECT_LE(content.size(), frame.size());
    if (!ended) continue;
    ++ended_times;
    Bytes decoded(content.size());
    if (decompress_into(frame, decoded)) {
      EXPECT_TRUE(content == decoded) << "round " << round;
    }
  }
  EXPECT_GT(ended_times, 1000);
}

}  // namespace
}  // namespace restic::repo
