// SPDX-License-Identifier: MIT
#include "repo/key_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "repo/id.h"
#include "support/fake_backend.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

RawKey some_key(std::uint8_t seed) {
  RawKey key;
  key.encrypt.fill(seed);
  key.mac_k.fill(seed);
  key.mac_r.fill(seed);
  return key;
}

class KeyRingTest : public testing::Test {
 protected:
  // Stores a file under its right name.
  std::string put(const std::string& content) {
    const std::string name = Id::of(as_bytes(content)).hex();
    backend_.put({FileType::Key, name}, Bytes(content.begin(), content.end()));
    return name;
  }
  std::string put_key(const std::string& password, std::uint8_t seed) {
    return put(encode_key_file(
        make_key_file(some_key(seed), password, {2, 1, 1}, "2026-01-02T03:04:05Z", "u", "h")));
  }
  KeyRing ring(const std::string& hint = {}) { return KeyRing(backend_, hint, log_); }

  test::FakeBackend backend_;
  Log log_{Log::Sink::Nothing};
};

TEST_F(KeyRingTest, AnyPasswordOpensItsOwnKey) {
  const std::string first = put_key("one", 1);
  const std::string second = put_key("two", 2);
  KeyRing keys = ring();
  EXPECT_EQ(keys.open("one").value()->encrypt[0], 1);
  EXPECT_EQ(keys.opened(), first);
  EXPECT_EQ(keys.open("two").value()->encrypt[0], 2);
  EXPECT_EQ(keys.opened(), second);
  EXPECT_FALSE(keys.open("three"));
}

TEST_F(KeyRingTest, BadFilesAreSkippedAndNamed) {
  const std::string junk = put("junk");
  put("{}");
  backend_.put({FileType::Key, std::string(64, '0')}, Bytes{'{', '}'});  // not the hash of that
  put_key("good", 7);
  EXPECT_EQ(ring().open("good").value()->encrypt[0], 7);
  EXPECT_NE(log_.last_problem().find("keys/"), std::string::npos);
}

TEST_F(KeyRingTest, AFileThatAsksForTooMuchIsSkipped) {
  std::string greedy =
      encode_key_file(make_key_file(some_key(1), "good", {2, 1, 1}, "2026-01-02T03:04:05Z", "u", "h"));
  const std::string cheap = R"("N":2,"r":1)";
  put(greedy.replace(greedy.find(cheap), cheap.size(), R"("N":1048576,"r":8)"));
  put_key("good", 2);
  EXPECT_EQ(ring().open("good").value()->encrypt[0], 2);
}

TEST_F(KeyRingTest, TheHintedKeyComesFirst) {
  std::string last;
  for (std::uint8_t seed = 1; seed < 5; ++seed) last = std::max(last, put_key("same", seed));
  KeyRing keys = ring(last.substr(0, 12));
  ASSERT_TRUE(keys.open("same"));
  EXPECT_EQ(keys.opened(), last);
}

TEST_F(KeyRingTest, AHintReachesAKeyBeyondTheLimit) {
  for (std::size_t i = 0; i < kMaxKeyFiles + 3; ++i) put("junk " + std::to_string(i));
  const std::string wanted = put_key("good", 7);
  EXPECT_EQ(ring(wanted).open("good").value()->encrypt[0], 7);
  EXPECT_LE(backend_.count(test::Call::Kind::Load), kMaxKeyFiles);
}

TEST_F(KeyRingTest, AWrongHintDoesNoHarm) {
  put_key("good", 7);
  EXPECT_TRUE(ring("no such name").open("good"));
}

TEST_F(KeyRingTest, NoKeyFileAtAllIsNoRepository) {
  try {
    ring();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::NotFound);
  }
}

TEST_F(KeyRingTest, NothingButBadFilesIsDamage) {
  put("junk");
  try {
    ring();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
  }
}

TEST_F(KeyRingTest, AnOutageIsNotAWrongPassword) {
  put_key("good", 7);
  backend_.set_hook([](const test::Call& call) {
    test::Fault fault;
    if (call.kind == test::Call::Kind::Load) fault.fail = Error(Errc::Unavailable, "down");
    return fault;
  });
  try {
    ring();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Unavailable);
  }
}

TEST_F(KeyRingTest, AFileThatVanishedAfterTheListIsSkipped) {
  put_key("good", 7);
  const std::string gone = put_key("gone", 8);
  backend_.set_hook([&](const test::Call& call) {
    test::Fault fault;
    if (call.kind == test::Call::Kind::Load && call.file.name == gone)
      fault.fail = Error(Errc::NotFound, "gone");
    return fault;
  });
  KeyRing keys = ring();
  EXPECT_TRUE(keys.open("good"));
  EXPECT_FALSE(keys.open("gone"));
}

}  // namespace
}  // namespace restic::repo
