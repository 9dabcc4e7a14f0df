// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace restic::repo {

struct Timestamp {
  std::int64_t seconds = 0;  // since 1970, negative before
  std::uint32_t nanoseconds = 0;
  auto operator<=>(const Timestamp&) const = default;
};

// A time and the offset from UTC it was written in.
struct ZonedTime {
  Timestamp time;
  std::int32_t zone_seconds = 0;  // east positive
};

// What Go's encoder writes for its zero time, 0001-01-01T00:00:00Z: stands for "no time recorded".
inline constexpr Timestamp kNoTime{-62135596800, 0};

// Which offset from UTC holds at an instant. restic writes times in the zone of its machine, so the bytes of
// a tree depend on it (FORMAT: times). Implementations are thread-safe.
class Zone {
 public:
  virtual ~Zone() = default;
  virtual std::int32_t offset_seconds(std::int64_t unix_seconds) const = 0;
};

// The process's own zone: TZ or /etc/localtime, looked up by the C library in the system's zone database.
class LocalZone final : public Zone {
 public:
  LocalZone();
  std::int32_t offset_seconds(std::int64_t unix_seconds) const override;
};

// The same offset always; 0 is UTC.
class FixedZone final : public Zone {
 public:
  explicit FixedZone(std::int32_t seconds = 0) : seconds_(seconds) {}
  std::int32_t offset_seconds(std::int64_t /*unix_seconds*/) const override { return seconds_; }

 private:
  std::int32_t seconds_;
};

// RFC 3339 with any number of fraction digits, of which nine count; nullopt: not that, or no such day.
std::optional<ZonedTime> parse_time(std::string_view text);

// RFC 3339 with up to nine fraction digits, without trailing zeros, as restic writes file times: years
// outside 0…9999 (in local time) become the nearest of those, and seconds of an offset are dropped.
std::string format_time(Timestamp time, const Zone& zone);

// Now, by the real-time clock.
Timestamp current_time();

}  // namespace restic::repo
