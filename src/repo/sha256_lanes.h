// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "repo/id.h"

namespace restic::repo {

// SHA-256 (FIPS 180-4) of two messages at once in one thread, which takes little more time than one: each
// step waits for the result of the one before it, so that one message leaves half of the processor's SHA
// instructions unused. Every lane goes from free through busy to done and, taken, to free; a busy one can
// also be put aside, which frees it. Not thread-safe; takes no memory and cannot fail. Only where
// available().
class Sha256Lanes {
 public:
  static constexpr std::size_t kLanes = 2;

  // A message that was begun, for another lane to go on with.
  class Begun;

  // x86-64 with SHA instructions, after a comparison with libcrypto.
  static bool available() noexcept;

  // `message` must stay as it is until the lane is done.
  void start(std::size_t lane, ByteView message) noexcept;
  bool busy(std::size_t lane) const noexcept { return lanes_[lane].blocks != 0; }
  bool done(std::size_t lane) const noexcept { return lanes_[lane].done; }
  // How much of a busy lane's message is left, in whole blocks: zero shortly before it is done.
  std::size_t left(std::size_t lane) const noexcept;
  // Of a lane with something left.
  Begun put_aside(std::size_t lane) noexcept;
  void go_on(std::size_t lane, const Begun& begun) noexcept;
  Id take(std::size_t lane) noexcept;

  // Goes on with all busy lanes until one of them is done, or for about `bytes` of each. CPU work.
  void run(std::size_t bytes) noexcept;

 private:
  static constexpr std::size_t kBlock = 64;

  struct Lane {
    std::array<std::uint32_t, 8> state{};
    const std::uint8_t* at = nullptr;
    std::size_t blocks = 0;                       // from `at` on; 0: free or done
    std::size_t tail_blocks = 0;                  // still to come after them
    std::array<std::uint8_t, 2 * kBlock> tail{};  // what is left of the message, the padding and its length
    bool done = false;
  };
  static bool agrees() noexcept;
  static void begin_tail(Lane& lane) noexcept;
  static void advance(Lane& lane, std::size_t blocks) noexcept;

  std::array<Lane, kLanes> lanes_;
};

class Sha256Lanes::Begun {
 private:
  friend Sha256Lanes;
  Lane lane_;  // refers to the message, not to its own tail
};

}  // namespace restic::repo
