// SPDX-License-Identifier: MIT
#include "transport/content.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/bytes_of.h"
#include "support/failing_content.h"

namespace restic::transport {
namespace {

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  return bytes;
}

TEST(Content, ComesInPiecesAndForEachReaderFromTheBeginning) {
  const Bytes bytes = counting(1000);
  const SharedContent content = in_memory(std::make_shared<const Bytes>(bytes));
  EXPECT_EQ(content->size(), 1000U);
  for (const std::size_t most : {1U, 7U, 999U, 1000U, 1001U}) {
    const auto reader = content->read();
    Bytes read;
    for (ByteView piece = reader->next(most); !piece.empty(); piece = reader->next(most)) {
      EXPECT_LE(piece.size(), most);
      read.insert(read.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(read, bytes);
    EXPECT_TRUE(reader->next(most).empty());
  }
}

TEST(Content, IsReadWhole) {
  for (const std::size_t size : {0U, 1U, 5000U}) {
    EXPECT_EQ(test::bytes_of(*in_memory(std::make_shared<const Bytes>(counting(size)))), counting(size));
  }
  EXPECT_THROW(test::bytes_of(test::FailingContent(5000, 300)), Error);
}

TEST(Content, EqualsTheSameBytesAndNoOthers) {
  const SharedContent content = in_memory(std::make_shared<const Bytes>(counting(1000)));
  EXPECT_TRUE(equals(*content, counting(1000)));
  EXPECT_FALSE(equals(*content, counting(999)));
  EXPECT_FALSE(equals(*content, counting(1001)));
  Bytes other = counting(1000);
  other.back() ^= 1U;
  EXPECT_FALSE(equals(*content, other));
  EXPECT_FALSE(equals(test::FailingContent(1000, 300), Bytes(1000)));
}

}  // namespace
}  // namespace restic::transport
