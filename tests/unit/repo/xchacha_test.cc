// SPDX-License-Identifier: MIT
#include "repo/xchacha.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <array>

#include "support/pack_material.h"

namespace restic::repo {
namespace {

// What libsodium makes of the same, content and tag.
Bytes by_libsodium(XChaCha::Key key, XChaCha::Nonce nonce, ByteView context, ByteView content) {
  Bytes sealed;
  sealed.resize(content.size() + XChaCha::kTagSize);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, content.data(), content.size(),
                                             context.data(), context.size(), nullptr, nonce.data(),
                                             key.data());
  return sealed;
}

TEST(XChaCha, IsLibsodiumsToTheByte) {
  ASSERT_GE(sodium_init(), 0);
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 4096U, 1'000'003U}) {
    std::array<std::uint8_t, XChaCha::kKeySize> key;
    std::array<std::uint8_t, XChaCha::kNonceSize> nonce;
    std::array<std::uint8_t, 24> context;
    randombytes_buf(key.data(), key.size());
    randombytes_buf(nonce.data(), nonce.size());
    randombytes_buf(context.data(), context.size());
    const Bytes plain = test::numbered_content(1, size);
    const Bytes expected = by_libsodium(key, nonce, context, plain);

    Bytes content = plain;
    std::array<std::uint8_t, XChaCha::kTagSize> tag;
    XChaCha::seal(key, nonce, context, content, tag);
    content.insert(content.end(), tag.begin(), tag.end());
    EXPECT_EQ(content, expected) << size;

    content.resize(size);
    Bytes elsewhere;
    elsewhere.resize(size);
    EXPECT_TRUE(XChaCha::open(key, nonce, context, content, tag, elsewhere.data()));
    EXPECT_EQ(elsewhere, plain) << size;
    EXPECT_TRUE(XChaCha::open(key, nonce, context, content, tag, content.data()));
    EXPECT_EQ(content, plain) << size;
  }
}

TEST(XChaCha, OpensNothingThatWasChanged) {
  ASSERT_GE(sodium_init(), 0);
  const std::array<std::uint8_t, XChaCha::kKeySize> key{1};
  const std::array<std::uint8_t, XChaCha::kNonceSize> nonce{2};
  const std::array<std::uint8_t, 4> context{3};
  std::array<std::uint8_t, XChaCha::kTagSize> tag;
  Bytes sealed = test::numbered_content(1, 1000);
  XChaCha::seal(key, nonce, context, sealed, tag);
  const auto opens = [&](auto some_key, auto some_nonce, auto some_context, Bytes content, auto some_tag) {
    return XChaCha::open(some_key, some_nonce, some_context, content, some_tag, content.data());
  };
  EXPECT_TRUE(opens(key, nonce, context, sealed, tag));
  const auto changed = [](auto what, std::size_t at) {
    what[at] ^= 1U;
    return what;
  };
  EXPECT_FALSE(opens(changed(key, 31), nonce, context, sealed, tag));
  EXPECT_FALSE(opens(key, changed(nonce, 0), context, sealed, tag));
  EXPECT_FALSE(opens(key, changed(nonce, 23), context, sealed, tag));
  EXPECT_FALSE(opens(key, nonce, changed(context, 3), sealed, tag));
  EXPECT_FALSE(opens(key, nonce, context, changed(sealed, 999), tag));
  EXPECT_FALSE(opens(key, nonce, context, sealed, changed(tag, 15)));
  sealed.pop_back();
  EXPECT_FALSE(opens(key, nonce, context, sealed, tag));
}

}  // namespace
}  // namespace restic::repo
