// SPDX-License-Identifier: MIT
#include "repo/config_file.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace restic::repo {
namespace {

const std::string kId(64, 'a');

std::string config_with(const std::string& version, const std::string& id, const std::string& polynomial) {
  return R"({"version":)" + version + R"(,"id":")" + id + R"(","chunker_polynomial":")" + polynomial +
         R"("})";
}

Errc failure_of(const std::string& text) {
  try {
    decode_config(as_bytes(text));
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("config: ")) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "accepted: " << text;
  return Errc::Io;
}

TEST(ConfigFile, ReadsVersionsOneAndTwo) {
  const Config config = decode_config(as_bytes(config_with("1", kId, "3da3358b4dc173")));
  EXPECT_EQ(config.version, 1U);
  EXPECT_EQ(config.id.hex(), kId);
  EXPECT_EQ(config.chunker_polynomial, 0x3da3358b4dc173U);
  EXPECT_EQ(decode_config(as_bytes(config_with("2", kId, "3da3358b4dc173"))).version, 2U);
}

TEST(ConfigFile, OtherVersionsAreNotSupported) {
  EXPECT_EQ(failure_of(config_with("0", kId, "3da3358b4dc173")), Errc::Unsupported);
  EXPECT_EQ(failure_of(config_with("3", kId, "3da3358b4dc173")), Errc::Unsupported);
}

TEST(ConfigFile, RefusesWhatResticRefuses) {
  EXPECT_EQ(failure_of(""), Errc::Damaged);
  EXPECT_EQ(failure_of("{}"), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", kId, "3da3358b4dc171")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", kId, "")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", kId, "0x3da3358b4dc173")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("-2", kId, "3da3358b4dc173")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", kId, "3da3358b4dc173") + "x"), Errc::Damaged);
}

TEST(ConfigFile, AnIdIsNeverAPath) {
  EXPECT_EQ(failure_of(config_with("2", "../evilcache", "3da3358b4dc173")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", "short", "3da3358b4dc173")), Errc::Damaged);
  EXPECT_EQ(failure_of(config_with("2", std::string(64, '0'), "3da3358b4dc173")), Errc::Damaged);
}

TEST(ConfigFile, UnknownMembersAreIgnored) {
  EXPECT_EQ(
      decode_config(as_bytes(R"({"x":{"version":9},)" + config_with("2", kId, "3da3358b4dc173").substr(1)))
          .version,
      2U);
}

TEST(ConfigFile, ANewOneCanBeWrittenWith) {
  const Config first = new_config();
  const Config second = new_config();
  EXPECT_EQ(first.version, 2U);
  EXPECT_NE(first.id, second.id);
  EXPECT_NE(first.chunker_polynomial, second.chunker_polynomial);
  EXPECT_TRUE(usable_for_chunking(first.chunker_polynomial));
  EXPECT_EQ(decode_config(as_bytes(encode_config(first))).id, first.id);
}

}  // namespace
}  // namespace restic::repo
