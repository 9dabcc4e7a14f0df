// SPDX-License-Identifier: MIT
#include "repo/sha256_lanes.h"

#include <algorithm>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#else
#include <cstdlib>
#endif

namespace restic::repo {
namespace {

constexpr std::array<std::uint32_t, 8> kStart{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
constexpr std::size_t kLengthField = 8;

#if defined(__x86_64__)

// Only these functions use the instructions, so that the program starts on every processor.
#define RESTIC_SHA_FUNCTION __attribute__((target("sha,sse4.1")))
#define RESTIC_SHA_INLINE __attribute__((target("sha,sse4.1"), always_inline)) inline

alignas(16) constexpr std::array<std::uint32_t, 64> kConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The eight words of a hash as the instructions want them: a b e f and c d g h, each from the highest down.
struct State {
  __m128i abef, cdgh;
};

using Words = std::array<std::uint32_t, 8>;

RESTIC_SHA_INLINE State load(const Words& words) {
  const auto four = [&](int w, int x, int y, int z) __attribute__((target("sha,sse4.1"))) {
    return _mm_set_epi32(static_cast<int>(words[w]), static_cast<int>(words[x]), static_cast<int>(words[y]),
                         static_cast<int>(words[z]));
  };
  return {four(0, 1, 4, 5), four(2, 3, 6, 7)};
}

RESTIC_SHA_INLINE void store(const State& state, Words& words) {
  alignas(16) std::array<std::uint32_t, 4> abef;
  alignas(16) std::array<std::uint32_t, 4> cdgh;
  _mm_store_si128(reinterpret_cast<__m128i*>(abef.data()), state.abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(cdgh.data()), state.cdgh);
  words = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
}

// A block's words, of which the last sixteen are kept, in fours.
struct Schedule {
  __m128i words[4];
};

template <std::size_t kStep>
RESTIC_SHA_INLINE void four_rounds(State& state, Schedule& schedule, const std::uint8_t* block) {
  __m128i& words = schedule.words[kStep % 4];
  if constexpr (kStep < 4) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    words = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + kStep), big_endian);
  } else {
    const __m128i last = schedule.words[(kStep + 3) % 4];
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(words, schedule.words[(kStep + 1) % 4]),
                                      _mm_alignr_epi8(last, schedule.words[(kStep + 2) % 4], 4));
    words = _mm_sha256msg2_epu32(sum, last);
  }
  const __m128i keyed =
      _mm_add_epi32(words, _mm_load_si128(reinterpret_cast<const __m128i*>(kConstants.data()) + kStep));
  state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, keyed);
  state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(keyed, 0x0e));
}

RESTIC_SHA_INLINE void add(State& state, const State& before) {
  state.abef = _mm_add_epi32(state.abef, before.abef);
  state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
}

template <std::size_t... kSteps>
RESTIC_SHA_FUNCTION void hash_two(Words& a_words, Words& b_words, const std::uint8_t* a_at,
                                  const std::uint8_t* b_at, std::size_t blocks, std::size_t block_size,
                                  std::index_sequence<kSteps...>) {
  State a = load(a_words);
  State b = load(b_words);
  for (; blocks != 0; --blocks, a_at += block_size, b_at += block_size) {
    const State a_before = a;
    const State b_before = b;
    Schedule a_schedule;
    Schedule b_schedule;
    ((four_rounds<kSteps>(a, a_schedule, a_at), four_rounds<kSteps>(b, b_schedule, b_at)), ...);
    add(a, a_before);
    add(b, b_before);
  }
  store(a, a_words);
  store(b, b_words);
}

template <std::size_t... kSteps>
RESTIC_SHA_FUNCTION void hash_one(Words& words, const std::uint8_t* at, std::size_t blocks,
                                  std::size_t block_size, std::index_sequence<kSteps...>) {
  State state = load(words);
  for (; blocks != 0; --blocks, at += block_size) {
    const State before = state;
    Schedule schedule;
    (four_rounds<kSteps>(state, schedule, at), ...);
    add(state, before);
  }
  store(state, words);
}

using Steps = std::make_index_sequence<16>;

// memcpy and others may leave something in the upper halves of the vector registers. Each of our instructions
// would have to carry that along, which makes two lanes as slow as one after the other.
__attribute__((target("avx"))) void clear_upper_halves() { _mm256_zeroupper(); }

void prepare_registers() {
  static const bool kHaveUpperHalves = __builtin_cpu_supports("avx") != 0;
  if (kHaveUpperHalves) clear_upper_halves();
}

bool find_instructions() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kSha = 1U << 29U;  // leaf 7, EBX
  return __builtin_cpu_supports("sse4.1") != 0 && __get_cpuid_count(7, 0, &a, &b, &c, &d) == 1 &&
         (b & kSha) != 0;
}

#endif

}  // namespace

bool Sha256Lanes::available() noexcept {
#if defined(__x86_64__)
  static const bool kThere = find_instructions() && agrees();
  return kThere;
#else
  return false;
#endif
}

// Whether both lanes come to what libcrypto does: what they put out names blobs for ever, and an emulated
// processor may compute anything.
bool Sha256Lanes::agrees() noexcept {
  std::array<std::uint8_t, 200> message{};
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::uint8_t>(i * 7);
  const ByteView first(message);
  const ByteView second = first.first(130);
  Sha256Lanes lanes;
  lanes.start(0, first);
  lanes.start(1, second);
  lanes.run(message.size());
  const Id of_second = lanes.take(1);
  lanes.run(message.size());
  try {
    return lanes.take(0) == Id::of(first) && of_second == Id::of(second);
  } catch (const std::exception&) {
    return false;
  }
}

void Sha256Lanes::start(std::size_t lane_number, ByteView message) noexcept {
  Lane& lane = lanes_[lane_number];
  lane.state = kStart;
  lane.done = false;
  const std::size_t left = message.size() % kBlock;
  lane.tail_blocks = left + 1 + kLengthField <= kBlock ? 1 : 2;
  lane.tail = {};
  std::copy_n(message.end() - static_cast<std::ptrdiff_t>(left), left, lane.tail.begin());
  lane.tail[left] = 0x80;
  for (std::size_t i = 0; i < kLengthField; ++i) {
    lane.tail[lane.tail_blocks * kBlock - 1 - i] =
        static_cast<std::uint8_t>((std::uint64_t{message.size()} * 8) >> (8 * i));
  }
  lane.at = message.data();
  lane.blocks = message.size() / kBlock;
  if (lane.blocks == 0) begin_tail(lane);
}

std::size_t Sha256Lanes::left(std::size_t lane_number) const noexcept {
  const Lane& lane = lanes_[lane_number];
  return lane.tail_blocks != 0 ? lane.blocks * kBlock : 0;
}

Sha256Lanes::Begun Sha256Lanes::put_aside(std::size_t lane_number) noexcept {
  Begun begun;
  begun.lane_ = lanes_[lane_number];
  lanes_[lane_number].blocks = 0;
  return begun;
}

void Sha256Lanes::go_on(std::size_t lane_number, const Begun& begun) noexcept {
  lanes_[lane_number] = begun.lane_;
}

Id Sha256Lanes::take(std::size_t lane_number) noexcept {
  Lane& lane = lanes_[lane_number];
  lane.done = false;
  Id id;
  for (std::size_t i = 0; i < Id::kSize; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(lane.state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return id;
}

void Sha256Lanes::run([[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__x86_64__)
  prepare_registers();
  Lane& first = lanes_[0];
  Lane& second = lanes_[1];
  std::size_t left = std::max<std::size_t>(bytes / kBlock, 1);
  while (left != 0 && !first.done && !second.done) {
    if (first.blocks != 0 && second.blocks != 0) {
      const std::size_t blocks = std::min({first.blocks, second.blocks, left});
      hash_two(first.state, second.state, first.at, second.at, blocks, kBlock, Steps());
      left -= blocks;
      advance(first, blocks);
      advance(second, blocks);
    } else {
      Lane& only = first.blocks != 0 ? first : second;
      if (only.blocks == 0) return;
      const std::size_t blocks = std::min(only.blocks, left);
      hash_one(only.state, only.at, blocks, kBlock, Steps());
      left -= blocks;
      advance(only, blocks);
    }
  }
#else
  std::abort();
#endif
}

void Sha256Lanes::begin_tail(Lane& lane) noexcept {
  lane.at = lane.tail.data();
  lane.blocks = std::exchange(lane.tail_blocks, 0);
}

void Sha256Lanes::advance(Lane& lane, std::size_t blocks) noexcept {
  lane.at += blocks * kBlock;
  lane.blocks -= blocks;
  if (lane.blocks != 0) return;
  if (lane.tail_blocks != 0) return begin_tail(lane);
  lane.done = true;
}

}  // namespace restic::repo
