// SPDX-License-Identifier: MIT
#include "repo/compression.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <string>

#include "base/error.h"

namespace restic::repo {
namespace {

Bytes squares(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>((i * i) >> 7U);
  return bytes;
}

Bytes compressed(ByteView plain) {
  Bytes frame;
  compress(plain, frame);
  return frame;
}

// As a writer that streams does: the frame does not tell its content's size.
Bytes streamed(ByteView plain, int window_log = 19, bool checksum = false) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  Bytes frame(ZSTD_compressBound(plain.size()) + 64);
  ZSTD_outBuffer out{frame.data(), frame.size(), 0};
  ZSTD_inBuffer in{plain.data(), plain.size(), 0};
  while (in.pos < in.size) ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
  while (ZSTD_compressStream2(context, &out, &in, ZSTD_e_end) != 0) {
  }
  ZSTD_freeCCtx(context);
  frame.resize(out.pos);
  return frame;
}

bool opens(ByteView frames, std::size_t size) {
  Bytes plain(size);
  return decompress_into(frames, plain);
}

TEST(Compression, WritesOneFrameThatEveryResticReads) {
  for (const std::size_t size : {0U, 1U, 255U, 256U, 100000U, 3000000U}) {
    const Bytes plain = squares(size);
    const Bytes frame = compressed(plain);
    EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), size);
    EXPECT_EQ(ZSTD_findFrameCompressedSize(frame.data(), frame.size()), frame.size());
    // The header's flags: no checksum (bit 2), no dictionary (bits 0 and 1); then the window of what is no
    // single segment (bit 5), an exponent over 1 KiB.
    EXPECT_EQ(frame[4] & 7U, 0U);
    if ((frame[4] & 0x20U) == 0) {
      EXPECT_LE(frame[5] >> 3U, 9U) << "a window of more than 512 KiB";
    } else {
      EXPECT_LE(size, 512U * 1024);
    }
    Bytes back(size);
    EXPECT_TRUE(decompress_into(frame, back));
    EXPECT_EQ(back, plain);
    EXPECT_EQ(decompress(frame, size, "x"), plain);
  }
}

TEST(Compression, AppendsToWhatIsThere) {
  Bytes out{2};
  compress(squares(1000), out);
  EXPECT_EQ(out.front(), 2);
  EXPECT_EQ(decompress(ByteView(out).subspan(1), 1000, "x"), squares(1000));
}

TEST(Compression, ReadsFramesThatDoNotTellTheirSize) {
  for (const std::size_t size : {0U, 10U, 131072U, 5000000U}) {
    const Bytes frame = streamed(squares(size));
    EXPECT_TRUE(opens(frame, size));
    EXPECT_EQ(decompress(frame, size, "x"), squares(size));
    EXPECT_EQ(decompress(frame, 1U << 30U, "x"), squares(size));
  }
}

TEST(Compression, ReadsSeveralFramesAndSkipsSkippableOnes) {
  const Bytes plain = squares(3000);
  Bytes frames = compressed(ByteView(plain).first(1000));
  const Bytes skippable{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3};
  frames.insert(frames.end(), skippable.begin(), skippable.end());
  compress(ByteView(plain).subspan(1000), frames);
  EXPECT_TRUE(opens(frames, 3000));
  EXPECT_EQ(decompress(frames, 3000, "x"), plain);
}

TEST(Compression, RefusesAnotherLengthThanExpected) {
  const Bytes frame = compressed(squares(1000));
  EXPECT_FALSE(opens(frame, 999));
  EXPECT_FALSE(opens(frame, 1001));
  EXPECT_THROW(decompress(frame, 999, "x"), Error);
  EXPECT_THROW(decompress(streamed(squares(1000)), 999, "x"), Error);
}

TEST(Compression, RefusesWhatIsNotZstd) {
  EXPECT_FALSE(opens({}, 1));
  EXPECT_FALSE(opens(squares(100), 100));
  EXPECT_THROW(decompress({}, 100, "x"), Error);
  EXPECT_THROW(decompress(squares(100), 100, "x"), Error);
}

TEST(Compression, RefusesBytesAfterTheFrame) {
  Bytes frame = compressed(squares(1000));
  frame.push_back(0);
  EXPECT_FALSE(opens(frame, 1000));
  EXPECT_THROW(decompress(frame, 5000, "x"), Error);
}

TEST(Compression, RefusesEveryCut) {
  for (const Bytes& frame : {compressed(squares(2000)), streamed(squares(2000))}) {
    for (std::size_t size = 0; size < frame.size(); ++size) {
      EXPECT_FALSE(opens(ByteView(frame).first(size), 2000)) << size;
      EXPECT_THROW(decompress(ByteView(frame).first(size), 2000, "x"), Error) << size;
    }
  }
}

TEST(Compression, RefusesAWrongChecksum) {
  Bytes frame = streamed(squares(2000), 19, true);
  EXPECT_TRUE(opens(frame, 2000));
  frame.back() ^= 1U;
  EXPECT_FALSE(opens(frame, 2000));
}

TEST(Compression, ABombCostsNoMoreThanTheLimit) {
  // Blocks that repeat one byte 128 KiB times, 4 bytes each: 64 KiB that stand for 2 GiB.
  Bytes bomb{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38};
  for (int i = 0; i < 16384; ++i) bomb.insert(bomb.end(), {0x02, 0x00, 0x10, 'x'});
  EXPECT_FALSE(opens(bomb, 1U << 20U));
  EXPECT_THROW(decompress(bomb, 1U << 20U, "x"), Error);
}

TEST(Compression, AFrameIsNotBelievedItsSize) {
  // 15 GiB by its own word, of which one byte comes.
  const Bytes liar{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38, 0, 0, 0, 0xc0, 3, 0, 0, 0, 0x09, 0, 0, 'x'};
  EXPECT_EQ(ZSTD_getFrameContentSize(liar.data(), liar.size()), 15ULL << 30U);
  EXPECT_THROW(decompress(liar, 1U << 30U, "x"), Error);
}

TEST(Compression, RefusesWindowsThatTakeTooMuchMemory) {
  const Bytes wide = streamed(squares(100), 28);
  EXPECT_THROW(decompress(wide, 1U << 30U, "x"), Error);
}

TEST(Compression, NoFrameIsDenserThanTheDensest) {
  EXPECT_TRUE(plausible_plain_size(20, 131072));
  EXPECT_TRUE(plausible_plain_size(16384 * 4, 2147483647));
  EXPECT_FALSE(plausible_plain_size(100, 1U << 30U));
}

TEST(Compression, TheErrorNamesWhatWasDecompressed) {
  try {
    decompress(squares(100), 100, "index/ab");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_TRUE(std::string(error.what()).starts_with("index/ab: ")) << error.what();
  }
}

}  // namespace
}  // namespace restic::repo
