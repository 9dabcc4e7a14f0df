// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <ctime>
#include <thread>

namespace restic {
namespace {

std::chrono::nanoseconds read_clock(clockid_t which) {
  timespec now{};
  ::clock_gettime(which, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Clock::Instant SystemClock::now() const { return read_clock(CLOCK_BOOTTIME); }
std::chrono::nanoseconds SystemClock::wall() const { return read_clock(CLOCK_REALTIME); }
void SystemClock::sleep(std::chrono::milliseconds duration) const { std::this_thread::sleep_for(duration); }

}  // namespace restic
