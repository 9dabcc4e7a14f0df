// SPDX-License-Identifier: MIT
#include "repo/sealed_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/error.h"
#include "repo/compression.h"
#include "repo/id.h"
#include "support/some_key.h"

namespace restic::repo {
namespace {

using test::some_crypto;

using transport::FileName;
using transport::FileType;

constexpr std::string_view kJson =
    R"({"a":"some JSON that is long enough to be compressed, compressed, compressed"})";

Bytes sealed(ByteView plain) {
  Bytes stored;
  some_crypto().seal(plain, stored);
  return stored;
}

FileName name_of(const Bytes& stored, FileType type = FileType::Index) {
  return {type, Id::of(stored).hex()};
}

// Opens bytes under the name they should have.
std::string open(unsigned version, const Bytes& stored, FileType type = FileType::Index) {
  const FileName name = type == FileType::Config ? FileName{type, ""} : name_of(stored, type);
  return std::string(as_text(open_sealed_file(some_crypto(), version, name, stored)));
}

void expect_damaged(const std::string& prefix, const std::function<void()>& action) {
  try {
    action();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_TRUE(std::string(error.what()).starts_with(prefix)) << error.what();
  }
}

TEST(SealedFile, GoesThereAndBackInBothVersions) {
  for (const unsigned version : {1U, 2U}) {
    for (const FileType type : {FileType::Config, FileType::Index, FileType::Snapshot, FileType::Lock}) {
      EXPECT_EQ(open(version, seal_file(some_crypto(), version, type, kJson), type), kJson);
    }
  }
}

TEST(SealedFile, OnlyVersionTwoCompressesAndNeverTheConfig) {
  const auto first_byte = [](unsigned version, FileType type) {
    return some_crypto().open(seal_file(some_crypto(), version, type, kJson), "x").front();
  };
  EXPECT_EQ(first_byte(1, FileType::Index), '{');
  EXPECT_EQ(first_byte(2, FileType::Index), 2);
  EXPECT_EQ(first_byte(2, FileType::Config), '{');
}

TEST(SealedFile, VersionTwoReadsPlainJsonToo) {
  EXPECT_EQ(open(2, sealed(as_bytes("{}"))), "{}");
  EXPECT_EQ(open(2, sealed(as_bytes("[]"))), "[]");
}

TEST(SealedFile, UnknownEncodingsAreRefused) {
  expect_damaged("index/", [] { open(2, sealed(as_bytes("\x01{}"))); });
  expect_damaged("index/", [] { open(2, sealed(as_bytes(" {}"))); });
  expect_damaged("index/", [] { open(2, sealed(as_bytes("\x02{}"))); });
}

TEST(SealedFile, ContentMustMatchTheName) {
  const Bytes stored = sealed(as_bytes("{}"));
  const FileName other{FileType::Snapshot, std::string(64, 'a')};
  expect_damaged("snapshots/aaaa", [&] { open_sealed_file(some_crypto(), 2, other, stored); });
}

TEST(SealedFile, ShortFilesAreDamaged) {
  for (std::size_t size = 0; size < kSealOverhead; ++size) {
    expect_damaged("index/", [&] { open(2, Bytes(size, 1)); });
    expect_damaged("config", [&] { open(2, Bytes(size, 1), FileType::Config); });
  }
}

TEST(SealedFile, FilesOfAnotherKeyAreDamaged) {
  Bytes stored = sealed(as_bytes("{}"));
  stored.back() ^= 1U;
  expect_damaged("index/", [&] { open(2, stored); });
  expect_damaged("config", [&] { open(2, stored, FileType::Config); });
}

TEST(SealedFile, ABombIsRefused) {
  Bytes framed{2, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38};
  for (int i = 0; i < 8192; ++i) framed.insert(framed.end(), {0x02, 0x00, 0x10, 'x'});  // 1 GiB
  expect_damaged("index/", [&] { open(2, sealed(framed)); });
}

}  // namespace
}  // namespace restic::repo
