// SPDX-License-Identifier: MIT
#include "repo/timestamp.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <cstdint>
#include <optional>
#include <string>

#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

// Puts the process into a zone for the length of a scope.
class ScopedZone {
 public:
  explicit ScopedZone(const std::string& name) {
    if (const char* before = ::getenv("TZ")) before_ = before;
    ::setenv("TZ", name.c_str(), 1);
    ::tzset();
  }
  ~ScopedZone() {
    before_ ? ::setenv("TZ", before_->c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
  }
  ScopedZone(const ScopedZone&) = delete;
  ScopedZone& operator=(const ScopedZone&) = delete;

 private:
  std::optional<std::string> before_;
};

TEST(Timestamp, EveryTimeIsWrittenAsResticDoes) {
  for (const Json& vector : Json::load("times")["vectors"].items()) {
    const ScopedZone scope(vector["tz"].text());
    const Timestamp time{vector["unix_seconds"].signed_number(),
                         static_cast<std::uint32_t>(vector["nsec"].number())};
    EXPECT_EQ(format_time(time, LocalZone()), vector["json"].text())
        << vector["unix_seconds"].signed_number() << " in " << vector["tz"].text();
  }
}

TEST(Timestamp, WhatIsWrittenIsReadAgain) {
  for (const Json& vector : Json::load("times")["vectors"].items()) {
    const std::string text = vector["json"].text();
    const std::optional<ZonedTime> time = parse_time(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(format_time(time->time, FixedZone(time->zone_seconds)), text);
  }
}

TEST(Timestamp, ReadsOffsetsAndFractions) {
  EXPECT_EQ(parse_time("1970-01-01T01:00:00+01:00")->time, (Timestamp{0, 0}));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00-23:59")->zone_seconds, -86340);
  EXPECT_EQ(parse_time("1969-12-31T23:59:59.5Z")->time, (Timestamp{-1, 500'000'000}));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.1234567899Z")->time, (Timestamp{0, 123'456'789}));
  EXPECT_EQ(parse_time("0001-01-01T00:00:00Z")->time, kNoTime);
  EXPECT_EQ(parse_time("2000-02-29T00:00:00Z")->time, (Timestamp{951782400, 0}));
}

TEST(Timestamp, RefusesWhatIsNotATime) {
  for (const char* text : {"",
                           "yesterday",
                           "1970-01-01",
                           "1970-01-01T00:00:00",
                           "1970-01-01 00:00:00Z",
                           "1970-01-01T00:00:00z",
                           "1970-01-01T24:00:00Z",
                           "1970-01-01T00:60:00Z",
                           "1970-01-01T00:00:60Z",
                           "1970-00-01T00:00:00Z",
                           "1970-13-01T00:00:00Z",
                           "1970-01-00T00:00:00Z",
                           "1970-04-31T00:00:00Z",
                           "1900-02-29T00:00:00Z",
                           "1970-01-01T00:00:00.Z",
                           "1970-01-01T00:00:00+0100",
                           "1970-01-01T00:00:00+01:60",
                           "1970-01-01T00:00:00+25:00",
                           "1970-01-01T00:00:00ZZ",
                           "+970-01-01T00:00:00Z",
                           "19700-01-01T00:00:00Z",
                           "1970-1-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_time(text)) << text;
  }
}

TEST(Timestamp, TimesWithoutBoundsAreClamped) {
  const FixedZone utc;
  EXPECT_TRUE(format_time({INT64_MAX, 0}, utc).starts_with("9999-"));
  EXPECT_TRUE(format_time({INT64_MIN, 0}, utc).starts_with("0000-"));
  EXPECT_TRUE(format_time({INT64_MAX, 0}, LocalZone()).starts_with("9999-"));
}

TEST(Timestamp, EveryDayOfFourCenturiesGoesThereAndBack) {
  const FixedZone utc;
  for (std::int64_t day = -150000; day < 150000; day += 1) {
    const Timestamp time{day * 86400 + 12345, 0};
    ASSERT_EQ(parse_time(format_time(time, utc))->time, time);
  }
}

}  // namespace
}  // namespace restic::repo
