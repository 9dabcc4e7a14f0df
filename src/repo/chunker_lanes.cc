// SPDX-License-Identifier: MIT
#include "repo/chunker_lanes.h"

#include <bit>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#else
#include <cstdlib>
#endif

namespace restic::repo {
namespace {

// So far the 53 bits of a fingerprint are shifted up, for its highest eight to be a byte.
constexpr unsigned kShift = 3;

// Byte `byte` of a linear function of a byte, which is given by its values for single bits. The instruction
// takes the row for bit 7 first.
template <typename OfByte>
std::uint64_t matrix(const OfByte& of_byte, std::size_t byte) {
  std::uint64_t rows = 0;
  for (unsigned out = 0; out < 8; ++out) {
    for (unsigned in = 0; in < 8; ++in) {
      const std::uint64_t bit = of_byte(1U << in) >> (8 * byte + out) & 1U;
      rows |= bit << (8 * (7 - out) + in);
    }
  }
  return rows;
}

#if defined(__x86_64__)

// Only these functions use the instructions, so that the program starts on every processor.
#define RESTIC_LANES_TARGET "avx512f,avx512bw,avx512vl,gfni"
#define RESTIC_LANES_FUNCTION __attribute__((target(RESTIC_LANES_TARGET)))
#define RESTIC_LANES_INLINE __attribute__((target(RESTIC_LANES_TARGET), always_inline)) inline

bool find_instructions() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kGfni = 1U << 8U;  // leaf 7, ECX
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __get_cpuid_count(7, 0, &a, &b, &c, &d) == 1 &&
         (c & kGfni) != 0;
}

constexpr std::size_t kRows = 16;

// 64 bytes of each lane, in turn: the first of all lanes, the second of all, and so on.
struct alignas(64) Tile {
  std::array<std::uint8_t, ChunkerLanes::kLanes * ChunkerLanes::kWindow> bytes;

  RESTIC_LANES_FUNCTION void load(const std::uint8_t* from, std::size_t stride) {
    for (std::size_t lane = 0; lane < ChunkerLanes::kLanes; lane += kRows)
      load_rows(from + lane * stride, stride, lane, std::make_index_sequence<kRows>());
  }

  // Of 16 lanes: four times every row is interleaved with the one eight rows below it.
  template <std::size_t... kRow>
  RESTIC_LANES_INLINE void load_rows(const std::uint8_t* from, std::size_t stride, std::size_t lane,
                                     std::index_sequence<kRow...>) {
    const __m512i rows[kRows] = {_mm512_loadu_si512(from + kRow * stride)...};
    const __m512i twos[kRows] = {interleaved<kRow>(rows)...};
    const __m512i fours[kRows] = {interleaved<kRow>(twos)...};
    const __m512i eights[kRows] = {interleaved<kRow>(fours)...};
    const __m512i columns[kRows] = {interleaved<kRow>(eights)...};
    (store(columns[kRow], bytes.data() + kRow * ChunkerLanes::kLanes + lane), ...);
  }

  template <std::size_t kRow>
  RESTIC_LANES_INLINE static __m512i interleaved(const __m512i (&rows)[kRows]) {
    const __m512i a = rows[kRow / 2];
    const __m512i b = rows[kRow / 2 + kRows / 2];
    return kRow % 2 == 0 ? _mm512_unpacklo_epi8(a, b) : _mm512_unpackhi_epi8(a, b);
  }

  // Each quarter has the bytes of another column.
  RESTIC_LANES_INLINE static void store(__m512i columns, std::uint8_t* to) {
    store_quarter<0>(columns, to);
    store_quarter<1>(columns, to);
    store_quarter<2>(columns, to);
    store_quarter<3>(columns, to);
  }

  // With a mask of everything, for GCC 12 warns of the other intrinsic: GCC bug 105593.
  template <int kQuarter>
  RESTIC_LANES_INLINE static void store_quarter(__m512i columns, std::uint8_t* to) {
    constexpr __mmask8 kAll = 0xff;
    _mm_store_si128(reinterpret_cast<__m128i*>(to + kQuarter * kRows * ChunkerLanes::kLanes),
                    _mm512_maskz_extracti32x4_epi32(kAll, columns, kQuarter));
  }

  RESTIC_LANES_INLINE __m512i column(std::size_t i) const {
    return _mm512_load_si512(bytes.data() + i * ChunkerLanes::kLanes);
  }
};

RESTIC_LANES_INLINE __m512i times(std::uint64_t matrix, __m512i bytes) {
  return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(static_cast<long long>(matrix)), 0);
}

RESTIC_LANES_INLINE __m512i sum(__m512i a, __m512i b) { return _mm512_xor_si512(a, b); }

RESTIC_LANES_INLINE __m512i sum(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

#endif

}  // namespace

bool ChunkerLanes::available() noexcept {
#if defined(__x86_64__)
  static const bool kThere = find_instructions();
  return kThere;
#else
  return false;
#endif
}

ChunkerLanes::ChunkerLanes(const Table& reduced, const Table& gone) {
  for (std::size_t byte = 0; byte < kBytes; ++byte) {
    top_[byte] = matrix([&](unsigned value) { return reduced[value] << kShift; }, byte);
    out_[byte] = matrix([&](unsigned value) { return gone[value] << kShift; }, byte);
  }
  for (std::size_t byte = 0; byte < in_.size(); ++byte) {
    in_[byte] = matrix([](unsigned value) { return std::uint64_t{value} << kShift; }, byte);
  }
}

#if defined(__x86_64__)

// The fingerprints of all lanes, byte by byte from the lowest. A byte that comes in moves each byte up by
// one; the one that falls out at the top comes back reduced.
struct ChunkerLanes::Fingerprints {
  __m512i bytes[kBytes];

  RESTIC_LANES_INLINE void push(const ChunkerLanes& by, __m512i in) {
    const __m512i top = bytes[6];
    bytes[6] = sum(bytes[5], times(by.top_[6], top));
    bytes[5] = sum(bytes[4], times(by.top_[5], top));
    bytes[4] = sum(bytes[3], times(by.top_[4], top));
    bytes[3] = sum(bytes[2], times(by.top_[3], top));
    bytes[2] = sum(bytes[1], times(by.top_[2], top));
    bytes[1] = sum(bytes[0], times(by.top_[1], top), times(by.in_[1], in));
    bytes[0] = sum(times(by.top_[0], top), times(by.in_[0], in));
  }

  // The same while another byte leaves the window.
  RESTIC_LANES_INLINE void slide(const ChunkerLanes& by, __m512i in, __m512i out) {
    const __m512i top = bytes[6];
    bytes[6] = sum(bytes[5], times(by.top_[6], top), times(by.out_[6], out));
    bytes[5] = sum(bytes[4], times(by.top_[5], top), times(by.out_[5], out));
    bytes[4] = sum(bytes[3], times(by.top_[4], top), times(by.out_[4], out));
    bytes[3] = sum(bytes[2], times(by.top_[3], top), times(by.out_[3], out));
    bytes[2] = sum(bytes[1], times(by.top_[2], top), times(by.out_[2], out));
    bytes[1] = sum(sum(bytes[0], times(by.in_[1], in)), times(by.top_[1], top), times(by.out_[1], out));
    bytes[0] = sum(times(by.in_[0], in), times(by.top_[0], top), times(by.out_[0], out));
  }

  // The lanes whose lowest 20 bits are zero, which is where a chunk may end.
  RESTIC_LANES_INLINE std::uint64_t ends() const {
    const __m512i of_byte_2 = _mm512_and_si512(bytes[2], _mm512_set1_epi8(0x7f));
    const __m512i any = _mm512_or_si512(_mm512_or_si512(bytes[0], bytes[1]), of_byte_2);
    return _mm512_testn_epi8_mask(any, any);
  }
};

RESTIC_LANES_FUNCTION std::size_t ChunkerLanes::scan(const std::uint8_t* data, std::size_t size,
                                                     std::size_t steps) const noexcept {
  Tile tiles[2];
  Tile* in = &tiles[0];
  Tile* out = &tiles[1];
  Fingerprints fingerprints{};
  in->load(data + size - kWindow, steps);
  for (std::size_t i = 0; i < kWindow; ++i) fingerprints.push(*this, in->column(i));

  std::size_t found = kNone;
  std::uint64_t earlier = UINT64_MAX;  // the lanes in which an end would be before the one found
  for (std::size_t done = 0; done < steps && earlier != 0; done += kWindow) {
    std::swap(in, out);
    in->load(data + size + done, steps);
    for (std::size_t i = 0; i < kWindow; ++i) {
      fingerprints.slide(*this, in->column(i), out->column(i));
      const std::uint64_t ends = fingerprints.ends() & earlier;
      if (ends != 0) [[unlikely]] {
        const auto lane = static_cast<unsigned>(std::countr_zero(ends));
        earlier = (std::uint64_t{1} << lane) - 1;
        found = size + lane * steps + done + i + 1;
      }
    }
  }
  return found;
}

#else

std::size_t ChunkerLanes::scan(const std::uint8_t*, std::size_t, std::size_t) const noexcept { std::abort(); }

#endif

}  // namespace restic::repo
