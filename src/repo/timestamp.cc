// SPDX-License-Identifier: MIT
#include "repo/timestamp.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace restic::repo {
namespace {

constexpr std::int64_t kDaySeconds = 86400;

// Beyond this the year of a time does not fit anywhere; nothing real is near it.
constexpr std::int64_t kFarSeconds = 1LL << 55;

struct Civil {
  std::int64_t year;
  unsigned month, day;      // from 1
  std::int64_t day_second;  // 0 … 86399
};

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

bool is_leap(std::int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

unsigned days_in_month(std::int64_t year, unsigned month) {
  constexpr std::array<unsigned, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[month - 1];
}

// Days since 1970-01-01 of the first of March of `year`: counted from March a leap day comes last.
std::int64_t days_to_march(std::int64_t year) {
  return 365 * year + floor_divide(year, 4) - floor_divide(year, 100) + floor_divide(year, 400) - 719468;
}

// Days from the first of March to the first of a month, March being 0.
unsigned days_before(unsigned month_from_march) { return (153 * month_from_march + 2) / 5; }

// A day beyond the month's end runs over into the next, as in Go.
std::int64_t civil_to_seconds(const Civil& civil) {
  const bool before_march = civil.month < 3;
  const unsigned month = before_march ? civil.month + 9 : civil.month - 3;
  const std::int64_t days = days_to_march(before_march ? civil.year - 1 : civil.year) + days_before(month) +
                            static_cast<std::int64_t>(civil.day) - 1;
  return days * kDaySeconds + civil.day_second;
}

Civil seconds_to_civil(std::int64_t seconds) {
  constexpr std::int64_t kDaysOf400Years = 146097;
  const std::int64_t days = floor_divide(seconds, kDaySeconds);
  std::int64_t year = floor_divide((days + 719468) * 400, kDaysOf400Years);
  if (days_to_march(year + 1) <= days) ++year;
  if (days_to_march(year) > days) --year;
  const auto day_of_year = static_cast<unsigned>(days - days_to_march(year));
  const unsigned month = (5 * day_of_year + 2) / 153;
  return {month < 10 ? year : year + 1, month < 10 ? month + 3 : month - 9,
          day_of_year - days_before(month) + 1, seconds - days * kDaySeconds};
}

// The instant of a local time; where the clock was set, the later guess, as in Go.
std::int64_t local_to_unix(std::int64_t local, const Zone& zone) {
  std::int32_t offset = zone.offset_seconds(local);
  if (offset != 0) offset = zone.offset_seconds(local - offset);
  return local - offset;
}

// Takes decimal digits off the front of `text`.
bool take_number(std::string_view& text, std::size_t digits, unsigned limit, unsigned& value) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value > limit) return false;
  text.remove_prefix(digits);
  return true;
}

bool take_char(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// ".25" to 250000000; what follows the ninth digit is cut off.
bool take_fraction(std::string_view& text, std::uint32_t& nanoseconds) {
  if (!take_char(text, '.')) return true;
  std::size_t digits = 0;
  std::uint32_t scale = 100'000'000;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9';
       text.remove_prefix(1), ++digits, scale /= 10) {
    nanoseconds += static_cast<std::uint32_t>(text.front() - '0') * scale;
  }
  return digits > 0;
}

bool take_offset(std::string_view& text, std::int32_t& seconds) {
  if (take_char(text, 'Z')) return true;
  const bool west = take_char(text, '-');
  if (!west && !take_char(text, '+')) return false;
  unsigned hours = 0;
  unsigned minutes = 0;
  if (!take_number(text, 2, 24, hours) || !take_char(text, ':') || !take_number(text, 2, 59, minutes))
    return false;
  seconds = static_cast<std::int32_t>(hours * 3600 + minutes * 60);
  if (west) seconds = -seconds;
  return true;
}

}  // namespace

LocalZone::LocalZone() { ::tzset(); }

std::int32_t LocalZone::offset_seconds(std::int64_t unix_seconds) const {
  const auto when = static_cast<time_t>(std::clamp(unix_seconds, -kFarSeconds, kFarSeconds));
  tm local{};
  if (::localtime_r(&when, &local) == nullptr) return 0;
  return static_cast<std::int32_t>(local.tm_gmtoff);
}

std::optional<ZonedTime> parse_time(std::string_view text) {
  unsigned year = 0;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
  Civil civil{};
  ZonedTime result;
  const bool shaped =
      take_number(text, 4, 9999, year) && take_char(text, '-') && take_number(text, 2, 12, civil.month) &&
      take_char(text, '-') && take_number(text, 2, 31, civil.day) && take_char(text, 'T') &&
      take_number(text, 2, 23, hour) && take_char(text, ':') && take_number(text, 2, 59, minute) &&
      take_char(text, ':') && take_number(text, 2, 59, second) &&
      take_fraction(text, result.time.nanoseconds) && take_offset(text, result.zone_seconds) && text.empty();
  if (!shaped || civil.month == 0 || civil.day == 0 || civil.day > days_in_month(year, civil.month)) {
    return std::nullopt;
  }
  civil.year = year;
  civil.day_second = hour * 3600 + minute * 60 + second;
  result.time.seconds = civil_to_seconds(civil) - result.zone_seconds;
  return result;
}

std::string format_time(Timestamp time, const Zone& zone) {
  std::int64_t seconds = std::clamp(time.seconds, -kFarSeconds, kFarSeconds);
  std::int32_t offset = zone.offset_seconds(seconds);
  Civil local = seconds_to_civil(seconds + offset);
  if (local.year < 0 || local.year > 9999) {
    local.year = local.year < 0 ? 0 : 9999;
    seconds = local_to_unix(civil_to_seconds(local), zone);
    offset = zone.offset_seconds(seconds);
    local = seconds_to_civil(seconds + offset);
  }

  char buffer[48];
  int length =
      std::snprintf(buffer, sizeof buffer, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(local.year),
                    local.month, local.day, static_cast<int>(local.day_second / 3600),
                    static_cast<int>(local.day_second / 60 % 60), static_cast<int>(local.day_second % 60));
  std::string text(buffer, static_cast<std::size_t>(length));
  if (time.nanoseconds != 0) {
    length = std::snprintf(buffer, sizeof buffer, ".%09u", time.nanoseconds);
    text.append(buffer, static_cast<std::size_t>(length));
    text.erase(text.find_last_not_of('0') + 1);
  }
  if (offset == 0) return text + "Z";
  const int minutes = std::abs(offset) / 60;
  length =
      std::snprintf(buffer, sizeof buffer, "%c%02d:%02d", offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
  return text.append(buffer, static_cast<std::size_t>(length));
}

Timestamp current_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<std::uint32_t>(now.tv_nsec)};
}

}  // namespace restic::repo
