// SPDX-License-Identifier: MIT
#include "fs/file_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <random>

#include "base/error.h"
#include "fs/attributes.h"
#include "support/fake_repository.h"

namespace restic::fs {
namespace {

using test::FakeNode;
using test::FakeRepository;

bool never() { return false; }

std::string joined(const std::vector<ReadPiece>& pieces) {
  std::string text;
  for (const auto& piece : pieces) text += as_text(piece.bytes);
  return text;
}

class FileReaderTest : public ::testing::Test {
 protected:
  // A file of these blobs.
  std::unique_ptr<FileReader> open(const std::vector<std::string>& blobs) {
    FakeNode node;
    node.name = "file";
    for (const auto& blob : blobs) {
      ids_.push_back(repository_.add_blob(blob));
      whole_ += blob;
    }
    node.content = ids_;
    node.size = whole_.size();
    return reader_of(node);
  }
  std::unique_ptr<FileReader> reader_of(FakeNode node) {
    const auto tree = repository_.tree(repository_.add_tree({std::move(node)}));
    return std::make_unique<FileReader>(repository_.blobs(), tree, 0);
  }
  FakeRepository repository_;
  std::vector<repo::Id> ids_;
  std::string whole_;
};

TEST_F(FileReaderTest, ReadsEveryRange) {
  const auto reader = open({"abc", "", "d", "efghij", "", "kl"});
  for (std::size_t offset = 0; offset <= whole_.size() + 1; ++offset) {
    for (std::size_t size = 0; size <= whole_.size() + 2; ++size) {
      const std::string expected = offset < whole_.size() ? whole_.substr(offset, size) : "";
      ASSERT_EQ(joined(reader->read(offset, size, never)), expected) << offset << " " << size;
    }
  }
}

TEST_F(FileReaderTest, ReadsAnEmptyFileAndOneOfEmptyBlobs) {
  EXPECT_TRUE(open({})->read(0, 10, never).empty());
  EXPECT_TRUE(open({"", ""})->read(0, 10, never).empty());
}

TEST_F(FileReaderTest, AsksForAllMissingBlobsInOneRequest) {
  const auto reader = open({"abc", "def", "ghi"});
  EXPECT_EQ(joined(reader->read(1, 7, never)), "bcdefgh");
  ASSERT_EQ(repository_.requests().size(), 1U);
  EXPECT_EQ(repository_.requests()[0].ids, ids_);
  EXPECT_EQ(repository_.requests()[0].urgency, transport::Urgency::Demand);
}

TEST_F(FileReaderTest, AsksForNothingThatIsInMemory) {
  const auto reader = open({"abc", "def"});
  reader->read(0, 3, never);
  repository_.forget_requests();
  EXPECT_EQ(joined(reader->read(0, 3, never)), "abc");
  EXPECT_TRUE(repository_.requests().empty());
  EXPECT_EQ(joined(reader->read(0, 6, never)), "abcdef");
  ASSERT_EQ(repository_.requests().size(), 1U);
  EXPECT_THAT(repository_.requests()[0].ids, ::testing::ElementsAre(ids_[1]));
}

TEST_F(FileReaderTest, FetchesOnlyTheBlobUnderARandomRead) {
  const auto reader = open(std::vector<std::string>(64, std::string(1'000'000, 'x')));
  std::mt19937 random(1);
  for (int read = 0; read < 50; ++read) {
    reader->read((random() % 15) * 4'000'000 + 500'000, 4096, never);
  }
  for (const auto& request : repository_.requests()) {
    EXPECT_EQ(request.ids.size(), 1U);
    EXPECT_EQ(request.urgency, transport::Urgency::Demand);
  }
}

TEST_F(FileReaderTest, FetchesAheadOfASequentialReaderAndGivesUpWhatItPassed) {
  const auto reader = open(std::vector<std::string>(64, std::string(1'000'000, 'x')));
  for (std::uint64_t at = 0; at < 32'000'000; at += 128 * 1024) reader->read(at, 128 * 1024, never);
  std::size_t ahead = 0, demanded_alone = 0;
  for (const auto& request : repository_.requests()) {
    if (request.urgency == transport::Urgency::Ahead) ahead += request.ids.size();
    if (request.urgency == transport::Urgency::Demand) ++demanded_alone;
  }
  EXPECT_GT(ahead, 32U);
  EXPECT_LE(demanded_alone, 2U);
  const auto retired = repository_.retired();
  ASSERT_GT(retired.size(), 20U);
  EXPECT_EQ(retired.front(), ids_.front());
  EXPECT_LT(retired.size(), 31U);
}

TEST_F(FileReaderTest, GivesUpNothingThatItHasNotReadItself) {
  const auto reader = open(std::vector<std::string>(64, std::string(1'000'000, 'x')));
  // Where they read, first from the middle on, then farther behind, and last from the beginning.
  for (const std::size_t first : {16U, 40U, 0U}) {
    const std::size_t before = repository_.retired().size();
    const std::uint64_t begin = first * 1'000'000, end = begin + 12'000'000;
    for (std::uint64_t at = begin; at < end; at += 125'000) reader->read(at, 125'000, never);
    const auto retired = repository_.retired();
    const std::vector<repo::Id> now(retired.begin() + static_cast<std::ptrdiff_t>(before), retired.end());
    ASSERT_GT(now.size(), 6U) << first;
    ASSERT_LE(now.size(), 12U) << first;
    for (std::size_t at = 0; at < now.size(); ++at) EXPECT_EQ(now[at], ids_[first + at]) << first;
  }
}

TEST_F(FileReaderTest, AnswersHolesWithoutFetchingThem) {
  const std::string zeros(kZeroChunkSize, '\0');
  FakeNode node;
  node.name = "sparse";
  const auto hole = repo::Id::of(as_bytes(zeros));
  const auto head = repository_.add_blob("head");
  const auto tail = repository_.add_blob("tail");
  repository_.add_blob_as(hole, zeros);
  node.content = {head, hole, hole, tail};
  node.size = 8 + 2 * kZeroChunkSize;
  const auto reader = reader_of(node);
  EXPECT_EQ(joined(reader->read(0, node.size, never)), "head" + zeros + zeros + "tail");
  EXPECT_THAT(repository_.requests()[0].ids, ::testing::ElementsAre(head, tail));

  EXPECT_EQ(reader->seek(0, true), 0U);
  EXPECT_EQ(reader->seek(0, false), 4U);
  EXPECT_EQ(reader->seek(100, false), 100U);
  EXPECT_EQ(reader->seek(100, true), 4 + 2 * kZeroChunkSize);
  EXPECT_EQ(reader->seek(node.size - 1, false), node.size);
  EXPECT_EQ(reader->seek(node.size, true), std::nullopt);
}

TEST_F(FileReaderTest, TrustsTheBlobsWhenTheRecordedSizeDiffers) {
  FakeNode node;
  node.name = "lie";
  node.content = {repository_.add_blob("eleven byte")};
  node.size = 3;
  const auto reader = reader_of(node);
  EXPECT_FALSE(reader->size_as_recorded());
  EXPECT_EQ(joined(reader->read(0, 100, never)), "eleven byte");
}

TEST_F(FileReaderTest, SaysAtOpenThatABlobIsInNoIndex) {
  FakeNode node;
  node.name = "torn";
  node.content = {repository_.add_blob("x"), FakeRepository::made_up_id(999)};
  try {
    reader_of(node);
    ADD_FAILURE() << "opened";
  } catch (const Error& failure) {
    EXPECT_EQ(failure.code(), Errc::Damaged);
    EXPECT_THAT(failure.what(), ::testing::HasSubstr(FakeRepository::made_up_id(999).hex()));
  }
}

TEST_F(FileReaderTest, PassesOnWhyABlobCannotBeHad) {
  const auto reader = open({"abc"});
  repository_.fail_with(Error(Errc::Timeout, "no answer"));
  try {
    reader->read(0, 3, never);
    ADD_FAILURE() << "read";
  } catch (const Error& failure) {
    EXPECT_EQ(failure.code(), Errc::Timeout);
  }
}

TEST_F(FileReaderTest, WaitsForBlobsUntilTheyCome) {
  const auto reader = open({"abc", "def"});
  repository_.hold_blobs();
  auto read = std::async(std::launch::async, [&] { return joined(reader->read(0, 6, never)); });
  repository_.wait_until([&] { return !repository_.requests().empty(); });
  repository_.let_go();
  EXPECT_EQ(read.get(), "abcdef");
}

TEST_F(FileReaderTest, EndsAnInterruptedWait) {
  const auto reader = open({"abc"});
  repository_.hold_blobs();
  try {
    reader->read(0, 3, [] { return true; });
    ADD_FAILURE() << "read";
  } catch (const Error& failure) {
    EXPECT_EQ(failure.code(), Errc::Cancelled);
  }
}

}  // namespace
}  // namespace restic::fs
