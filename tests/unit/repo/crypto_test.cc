// SPDX-License-Identifier: MIT
#include "repo/crypto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/some_key.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;
using test::some_key;

RawKey key_of(const Json& vectors, const char* mac_r = "mac_r") {
  RawKey key;
  std::ranges::copy(vectors["encrypt"].hex(), key.encrypt.begin());
  std::ranges::copy(vectors["mac_k"].hex(), key.mac_k.begin());
  std::ranges::copy(vectors[mac_r].hex(), key.mac_r.begin());
  return key;
}

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8U));
  return bytes;
}

TEST(Crypto, OpensEveryVector) {
  const Json vectors = Json::load("crypto");
  const Crypto crypto(key_of(vectors));
  for (const Json& vector : vectors["vectors"].items()) {
    EXPECT_EQ(crypto.open(vector["sealed"].hex(), "vector"), vector["plaintext"].hex());
  }
}

TEST(Crypto, AClampedKeyIsTheSameKey) {
  const Json vectors = Json::load("crypto");
  const Crypto crypto(key_of(vectors, "mac_r_clamped"));
  for (const Json& vector : vectors["vectors"].items()) {
    Bytes sealed = vector["sealed"].hex();
    ByteView plain;
    ASSERT_TRUE(crypto.open_in_place(sealed, plain));
    EXPECT_TRUE(std::ranges::equal(plain, vector["plaintext"].hex()));
  }
}

TEST(Crypto, OpensWhatItSealsAcrossSliceBoundaries) {
  const Crypto crypto(some_key());
  for (const std::size_t size : {0U, 1U, 32767U, 32768U, 32769U, 65536U, 1000003U}) {
    const Bytes plain = pattern(size);
    Bytes out{7, 7};
    crypto.seal(plain, out);
    ASSERT_EQ(out.size(), 2 + size + kSealOverhead);
    EXPECT_EQ(crypto.open(ByteView(out).subspan(2), "sealed"), plain);
  }
}

TEST(Crypto, OpensWhatArrivesInParts) {
  const Crypto crypto(some_key());
  for (const std::size_t size : {0U, 1U, 15U, 32768U, 100'003U}) {
    const Bytes plain = pattern(size);
    for (const std::size_t part : {1U, 16U, 1000U, 50'000U, 200'000U}) {
      if (part == 1 && size > 50'000) continue;
      Bytes whole;
      crypto.seal(plain, whole);
      Bytes arriving(whole.size());
      Crypto::Opener opener(crypto, arriving);
      std::size_t opened = 0;
      for (std::size_t arrived = 0; arrived < whole.size();) {
        const std::size_t next = std::min(arrived + part, whole.size());
        std::copy(whole.begin() + static_cast<std::ptrdiff_t>(arrived),
                  whole.begin() + static_cast<std::ptrdiff_t>(next),
                  arriving.begin() + static_cast<std::ptrdiff_t>(arrived));
        arrived = next;
        opened = opener.go_on(arrived);
        EXPECT_LE(opened, arrived);
        EXPECT_TRUE(
            std::ranges::equal(ByteView(opener.plain()).first(opened), ByteView(plain).first(opened)));
      }
      EXPECT_EQ(opened, size);
      EXPECT_TRUE(opener.finish()) << size << " in parts of " << part;
      EXPECT_TRUE(std::ranges::equal(opener.plain(), plain));
    }
  }
}

TEST(Crypto, WhatArrivesIsVerifiedLikeEverythingElse) {
  const Crypto crypto(some_key());
  Bytes sealed;
  crypto.seal(pattern(40), sealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes damaged = sealed;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    Crypto::Opener opener(crypto, damaged);
    opener.go_on(30);
    EXPECT_FALSE(opener.finish()) << "bit " << bit;
    EXPECT_TRUE(std::ranges::all_of(opener.plain(), [](auto byte) { return byte == 0; }));
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    Bytes cut(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(Crypto::Opener(crypto, cut).finish()) << size << " bytes";
  }
  Bytes zeros(100, 0);
  EXPECT_FALSE(Crypto::Opener(crypto, zeros).finish());
}

TEST(Crypto, EverySealHasItsOwnIv) {
  const Crypto crypto(some_key());
  Bytes first, second;
  crypto.seal(pattern(10), first);
  crypto.seal(pattern(10), second);
  EXPECT_NE(Bytes(first.begin(), first.begin() + kIvSize), Bytes(second.begin(), second.begin() + kIvSize));
}

TEST(Crypto, NoticesEveryFlippedBit) {
  const Crypto crypto(some_key());
  Bytes sealed;
  crypto.seal(pattern(40), sealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes damaged = sealed;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ByteView plain;
    EXPECT_FALSE(crypto.open_in_place(damaged, plain)) << "bit " << bit;
  }
}

TEST(Crypto, NoticesEveryCut) {
  const Crypto crypto(some_key());
  Bytes sealed;
  crypto.seal(pattern(40), sealed);
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_THROW(crypto.open(ByteView(sealed).first(size), "cut"), Error) << size << " bytes";
  }
}

TEST(Crypto, LeavesNoPlaintextWhenTheMacIsWrong) {
  const Crypto crypto(some_key());
  Bytes sealed;
  crypto.seal(pattern(100000), sealed);
  sealed.back() ^= 1U;
  ByteView plain;
  ASSERT_FALSE(crypto.open_in_place(sealed, plain));
  EXPECT_TRUE(
      std::all_of(sealed.begin() + kIvSize, sealed.end() - kMacSize, [](auto byte) { return byte == 0; }));
}

TEST(Crypto, KnowsWhatASealedTextOpensToWithoutOpeningIt) {
  const Crypto crypto(some_key());
  for (const std::size_t size : {0, 1, 32767, 32768, 32769, 100000}) {
    const Bytes plain = pattern(size);
    Bytes sealed;
    crypto.seal(plain, sealed);
    EXPECT_TRUE(crypto.opens_to(sealed, plain)) << size;
    for (const std::size_t at : {std::size_t{0}, kIvSize, sealed.size() / 2, sealed.size() - 1}) {
      Bytes flipped = sealed;
      flipped[at] ^= 1U;
      EXPECT_FALSE(crypto.opens_to(flipped, plain)) << size << " " << at;
    }
    Bytes other = plain;
    other.push_back(0);
    EXPECT_FALSE(crypto.opens_to(sealed, other)) << size;
    if (size == 0) continue;
    other.pop_back();
    other.back() ^= 1U;
    EXPECT_FALSE(crypto.opens_to(sealed, other)) << size;
  }
  EXPECT_FALSE(crypto.opens_to({}, {}));
}

TEST(Crypto, RefusesAZeroIv) {
  Bytes zeros(64, 0);
  ByteView plain;
  EXPECT_FALSE(Crypto(some_key()).open_in_place(zeros, plain));
}

TEST(Crypto, RefusesAZeroIvThatTheMacAgreesWith) {
  // The MAC of no bytes is AES-128 of the IV: here of zeros, with mac_k.
  constexpr std::array<std::uint8_t, kMacSize> kMac{0xcb, 0x64, 0xcf, 0x3f, 0x42, 0x2a, 0xe8, 0x4b,
                                                    0xb9, 0x0e, 0x3a, 0xb4, 0xdb, 0xa7, 0xbd, 0x86};
  Bytes sealed(kIvSize, 0);
  sealed.insert(sealed.end(), kMac.begin(), kMac.end());
  const Crypto crypto(some_key());
  ByteView plain;
  EXPECT_FALSE(crypto.open_in_place(sealed, plain));
  EXPECT_THROW(crypto.open(sealed, "sealed"), Error);
  EXPECT_FALSE(Crypto::Opener(crypto, sealed).finish());
}

TEST(Crypto, RefusesKeysWithAZeroPart) {
  RawKey key = some_key();
  key.encrypt.fill(0);
  EXPECT_THROW(Crypto{key}, Error);
  key = some_key();
  key.mac_k.fill(0);
  EXPECT_THROW(Crypto{key}, Error);
  key = some_key();
  key.mac_r.fill(0);
  EXPECT_THROW(Crypto{key}, Error);
}

TEST(Crypto, TheErrorNamesWhatWasOpened) {
  try {
    Crypto(some_key()).open(pattern(50), "index/ab12");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_TRUE(std::string(error.what()).starts_with("index/ab12: "));
  }
}

TEST(Crypto, LocalKeysDifferByPurposeAndByMasterKey) {
  const auto derive = [](const RawKey& key, const char* purpose) {
    std::array<std::uint8_t, 32> out;
    Crypto(key).derive_local_key(out, purpose);
    return out;
  };
  RawKey other = some_key();
  other.mac_r[0] = 9;
  EXPECT_EQ(derive(some_key(), "cache"), derive(some_key(), "cache"));
  EXPECT_NE(derive(some_key(), "cache"), derive(some_key(), "index"));
  EXPECT_NE(derive(some_key(), "cache"), derive(other, "cache"));
}

TEST(Crypto, ThreadsShareOneKey) {
  const Crypto crypto(some_key());
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&crypto, &failures, seed] {
      for (std::size_t size = seed; size < 40000; size += 997) {
        Bytes sealed;
        const Bytes plain = pattern(size);
        crypto.seal(plain, sealed);
        ByteView opened;
        if (!crypto.open_in_place(sealed, opened) || !std::ranges::equal(opened, plain)) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace restic::repo
