// SPDX-License-Identifier: MIT
#include "tools/quantity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace restic::tools {
namespace {

using ::testing::HasSubstr;

// What the parser says about `text`.
template <class Parse>
std::string complaint(Parse parse, const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Usage);
    return error.what();
  }
  return "";
}

TEST(Size, IsReadInPowersOf1024) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("1000"), 1000U);
  EXPECT_EQ(parse_size("512K"), 512U << 10U);
  EXPECT_EQ(parse_size("512M"), 512U << 20U);
  EXPECT_EQ(parse_size("2g"), 2ULL << 30U);
  EXPECT_EQ(parse_size("3TiB"), 3ULL << 40U);
  EXPECT_EQ(parse_size("4MB"), 4U << 20U);
}

TEST(Size, SaysWhatIsWrong) {
  EXPECT_THAT(complaint(parse_size, "512Q"), HasSubstr("'512Q' has no known unit; write bytes"));
  EXPECT_THAT(complaint(parse_size, "M"), HasSubstr("whole number"));
  EXPECT_THAT(complaint(parse_size, ""), HasSubstr("whole number"));
  EXPECT_THAT(complaint(parse_size, "-1"), HasSubstr("whole number"));
  EXPECT_THAT(complaint(parse_size, "1.5G"), HasSubstr("unit"));
  EXPECT_THAT(complaint(parse_size, "99999999T"), HasSubstr("too large"));
  EXPECT_THAT(complaint(parse_size, "99999999999999999999999"), HasSubstr("too large"));
}

TEST(Duration, IsReadWithItsUnit) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("60s"), 60s);
  EXPECT_EQ(parse_duration("60"), 60s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("2h"), 2h);
  EXPECT_EQ(parse_duration("1d"), 24h);
  EXPECT_EQ(parse_duration("never"), std::nullopt);
}

TEST(Duration, SaysWhatIsWrong) {
  EXPECT_THAT(complaint(parse_duration, "5 minutes"),
              HasSubstr("'5 minutes' has no known unit; write a time"));
  EXPECT_THAT(complaint(parse_duration, "soon"), HasSubstr("or never"));
  EXPECT_THAT(complaint(parse_duration, "5000d"), HasSubstr("too large"));
}

TEST(Number, MustBeWithinItsLimits) {
  EXPECT_EQ(parse_number("1000", 1, 1000), 1000U);
  const auto parse = [](const std::string& text) { parse_number(text, 1, 1000); };
  for (const char* text : {"0", "1001", "", "7x", "-3"}) {
    EXPECT_THAT(complaint(parse, text), HasSubstr("is not a whole number from 1 to 1000")) << text;
  }
}

TEST(Umask, IsOctal) {
  EXPECT_EQ(parse_umask("077"), 077U);
  EXPECT_EQ(parse_umask("22"), 022U);
  for (const char* text : {"", "8", "1000", "0x7"}) {
    EXPECT_THAT(complaint(parse_umask, text), HasSubstr("octal")) << text;
  }
}

}  // namespace
}  // namespace restic::tools
