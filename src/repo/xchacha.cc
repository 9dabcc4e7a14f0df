// SPDX-License-Identifier: MIT
#include "repo/xchacha.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "base/error.h"

namespace restic::repo {
namespace {

constexpr std::size_t kInnerNonce = 12;
constexpr int kOpens = 0, kSeals = 1;

// Fetched once and kept to the end of the process.
const EVP_CIPHER* chacha20_poly1305() {
  static const EVP_CIPHER* const kCipher = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  return kCipher;
}

void require(bool success) {
  if (!success) throw Error(Errc::Io, "the cryptographic library failed");
}

// The cipher of one direction with the subkey and the rest of the nonce, after the context.
std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> start(XChaCha::Key key, XChaCha::Nonce nonce,
                                                                      ByteView context, int direction) {
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> cipher(EVP_CIPHER_CTX_new(),
                                                                         &EVP_CIPHER_CTX_free);
  if (!cipher) throw std::bad_alloc();
  std::array<std::uint8_t, XChaCha::kKeySize> subkey;
  static_assert(crypto_core_hchacha20_INPUTBYTES + 8 == XChaCha::kNonceSize);
  crypto_core_hchacha20(subkey.data(), nonce.data(), key.data(), nullptr);
  std::array<std::uint8_t, kInnerNonce> inner{};
  std::copy(nonce.end() - 8, nonce.end(), inner.begin() + 4);
  const bool ready = EVP_CipherInit_ex2(cipher.get(), chacha20_poly1305(), subkey.data(), inner.data(),
                                        direction, nullptr) == 1;
  sodium_memzero(subkey.data(), subkey.size());
  int length = 0;
  require(ready && EVP_CipherUpdate(cipher.get(), nullptr, &length, context.data(),
                                    static_cast<int>(context.size())) == 1);
  return cipher;
}

}  // namespace

void XChaCha::seal(Key key, Nonce nonce, ByteView context, std::span<std::uint8_t> content,
                   std::span<std::uint8_t, kTagSize> tag) {
  const auto cipher = start(key, nonce, context, kSeals);
  int length = 0;
  require((content.empty() || EVP_CipherUpdate(cipher.get(), content.data(), &length, content.data(),
                                               static_cast<int>(content.size())) == 1) &&
          EVP_CipherFinal_ex(cipher.get(), content.data(), &length) == 1 &&
          EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, tag.data()) == 1);
}

bool XChaCha::open(Key key, Nonce nonce, ByteView context, ByteView content,
                   std::span<const std::uint8_t, kTagSize> tag, std::uint8_t* out) {
  const auto cipher = start(key, nonce, context, kOpens);
  std::array<std::uint8_t, kTagSize> expected;
  std::ranges::copy(tag, expected.begin());
  int length = 0;
  require(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, expected.data()) == 1 &&
          (content.empty() || EVP_CipherUpdate(cipher.get(), out, &length, content.data(),
                                               static_cast<int>(content.size())) == 1));
  return EVP_CipherFinal_ex(cipher.get(), out, &length) == 1;
}

}  // namespace restic::repo
