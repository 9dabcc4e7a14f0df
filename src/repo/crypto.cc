// SPDX-License-Identifier: MIT
#include "repo/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "base/error.h"

namespace restic::repo {
namespace {

using Mac = std::array<std::uint8_t, kMacSize>;
using Iv = std::span<const std::uint8_t, kIvSize>;

// What one pass works on: small enough to be in the L1 or L2 cache still when the cipher follows the MAC.
constexpr std::size_t kSlice = std::size_t{32} * 1024;

struct Algorithms {
  EVP_CIPHER* aes256_ctr = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  EVP_CIPHER* aes128_ecb = EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr);
  EVP_MAC* poly1305 = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
};

// Fetched once and kept to the end of the process: a fetch costs more than opening a small blob.
const Algorithms& algorithms() {
  static const Algorithms kAlgorithms;
  return kAlgorithms;
}

void require(bool success) {
  if (!success) throw Error(Errc::Io, "the cryptographic library failed");
}

}  // namespace

// What one object after the other is sealed or opened with; every use sets key and IV anew, so that any
// number of Crypto objects share them.
class CipherContexts {
 public:
  CipherContexts()
      : stream_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free),
        block_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free),
        mac_(EVP_MAC_CTX_new(algorithms().poly1305), &EVP_MAC_CTX_free) {
    if (!stream_ || !block_ || !mac_) throw std::bad_alloc();
  }

  static CipherContexts& of_this_thread() {
    thread_local CipherContexts contexts;
    return contexts;
  }

  void start(const RawKey& key, Iv iv) {
    // Poly1305's one-time key: r, clamped by the implementation as its definition demands, and AES-128_k(IV).
    std::array<std::uint8_t, 32> one_time;
    std::copy(key.mac_r.begin(), key.mac_r.end(), one_time.begin());
    int length = 0;
    require(EVP_EncryptInit_ex2(block_.get(), algorithms().aes128_ecb, key.mac_k.data(), nullptr, nullptr) ==
                1 &&
            EVP_CIPHER_CTX_set_padding(block_.get(), 0) == 1 &&
            EVP_EncryptUpdate(block_.get(), one_time.data() + 16, &length, iv.data(), kIvSize) == 1);
    const bool mac_ready = EVP_MAC_init(mac_.get(), one_time.data(), one_time.size(), nullptr) == 1;
    wipe(one_time);
    require(mac_ready && EVP_EncryptInit_ex2(stream_.get(), algorithms().aes256_ctr, key.encrypt.data(),
                                             iv.data(), nullptr) == 1);
  }

  void authenticate(ByteView ciphertext) {
    require(EVP_MAC_update(mac_.get(), ciphertext.data(), ciphertext.size()) == 1);
  }

  // CTR mode: the same for both directions, and `in` may be `out`.
  void crypt(ByteView in, std::uint8_t* out) {
    int length = 0;
    require(EVP_EncryptUpdate(stream_.get(), out, &length, in.data(), static_cast<int>(in.size())) == 1);
  }

  Mac finish() {
    Mac mac;
    std::size_t length = 0;
    require(EVP_MAC_final(mac_.get(), mac.data(), &length, mac.size()) == 1 && length == mac.size());
    return mac;
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> stream_;
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> block_;
  std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> mac_;
};

namespace {

bool all_zero(ByteView bytes) { return sodium_is_zero(bytes.data(), bytes.size()) == 1; }

// Decrypts `sealed` to `out`, which may be its own ciphertext; on failure `out` is zeroed.
bool open_to(const RawKey& key, ByteView sealed, std::uint8_t* out) {
  if (sealed.size() < kSealOverhead) return false;
  const Iv iv = sealed.first<kIvSize>();
  if (all_zero(iv)) return false;
  Mac expected;
  std::copy_n(sealed.end() - kMacSize, kMacSize, expected.begin());
  const ByteView ciphertext = sealed.subspan(kIvSize, sealed.size() - kSealOverhead);

  CipherContexts& contexts = CipherContexts::of_this_thread();
  contexts.start(key, iv);
  for (std::size_t at = 0; at < ciphertext.size(); at += kSlice) {
    const ByteView slice = ciphertext.subspan(at, std::min(kSlice, ciphertext.size() - at));
    contexts.authenticate(slice);
    contexts.crypt(slice, out + at);
  }
  const Mac actual = contexts.finish();
  if (CRYPTO_memcmp(actual.data(), expected.data(), kMacSize) == 0) return true;
  std::fill_n(out, ciphertext.size(), std::uint8_t{0});
  return false;
}

// What open_to would put out, compared instead.
bool opens_to_same(const RawKey& key, ByteView sealed, ByteView plain) {
  if (sealed.size() != plain.size() + kSealOverhead || all_zero(sealed.first(kIvSize))) return false;
  const ByteView ciphertext = sealed.subspan(kIvSize, plain.size());
  CipherContexts& contexts = CipherContexts::of_this_thread();
  contexts.start(key, sealed.first<kIvSize>());
  std::array<std::uint8_t, kSlice> opened;
  bool same = true;
  for (std::size_t at = 0; same && at < plain.size(); at += kSlice) {
    const std::size_t length = std::min(kSlice, plain.size() - at);
    contexts.authenticate(ciphertext.subspan(at, length));
    contexts.crypt(ciphertext.subspan(at, length), opened.data());
    same = std::memcmp(opened.data(), plain.data() + at, length) == 0;
  }
  const Mac actual = contexts.finish();
  return same && CRYPTO_memcmp(actual.data(), sealed.data() + sealed.size() - kMacSize, kMacSize) == 0;
}

}  // namespace

bool RawKey::valid() const noexcept { return !all_zero(encrypt) && !all_zero(mac_k) && !all_zero(mac_r); }

Crypto::Crypto(const RawKey& key) {
  if (!key.valid()) throw Error(Errc::Damaged, "the repository's master key is not valid");
  *key_ = key;
}

bool Crypto::open_in_place(std::span<std::uint8_t> sealed, ByteView& plain) const {
  if (!open_to(*key_, sealed, sealed.data() + kIvSize)) return false;
  plain = sealed.subspan(kIvSize, sealed.size() - kSealOverhead);
  return true;
}

Crypto::Opener::Opener(const Crypto& crypto, std::span<std::uint8_t> sealed)
    : crypto_(crypto),
      sealed_(sealed),
      plain_(sealed.size() < kSealOverhead ? std::span<std::uint8_t>()
                                           : sealed.subspan(kIvSize, sealed.size() - kSealOverhead)) {}

Crypto::Opener::~Opener() = default;

std::size_t Crypto::Opener::go_on(std::size_t arrived) {
  if (arrived < kIvSize || sealed_.size() < kSealOverhead) return 0;
  if (!contexts_) {
    contexts_ = std::make_unique<CipherContexts>();
    contexts_->start(*crypto_.key_, ByteView(sealed_).first<kIvSize>());
  }
  const std::size_t until = std::min(arrived - kIvSize, plain_.size());
  while (opened_ < until) {
    const auto slice = plain_.subspan(opened_, std::min(kSlice, until - opened_));
    contexts_->authenticate(slice);
    contexts_->crypt(slice, slice.data());
    opened_ += slice.size();
  }
  return opened_;
}

bool Crypto::Opener::finish() {
  go_on(sealed_.size());
  if (!contexts_) return false;
  const Mac actual = contexts_->finish();
  const bool right =
      CRYPTO_memcmp(actual.data(), sealed_.data() + sealed_.size() - kMacSize, kMacSize) == 0 &&
      !all_zero(ByteView(sealed_).first<kIvSize>());
  if (!right) std::ranges::fill(plain_, std::uint8_t{0});
  return right;
}

Bytes Crypto::open(ByteView sealed, const std::string& what) const {
  if (sealed.size() < kSealOverhead) throw Error(Errc::Damaged, what + ": too short to be sealed data");
  Bytes plain(sealed.size() - kSealOverhead);
  if (!open_to(*key_, sealed, plain.data())) {
    throw Error(Errc::Damaged, what + ": does not open with the repository's key, it is damaged");
  }
  return plain;
}

void Crypto::seal(ByteView plain, Bytes& out) const {
  const std::size_t start = out.size();
  out.resize(start + plain.size() + kSealOverhead);
  seal(plain, std::span(out).subspan(start));
}

void Crypto::seal(ByteView plain, std::span<std::uint8_t> sealed) const {
  do {
    randombytes_buf(sealed.data(), kIvSize);
  } while (all_zero(sealed.first(kIvSize)));  // restic refuses such an IV

  CipherContexts& contexts = CipherContexts::of_this_thread();
  contexts.start(*key_, sealed.first<kIvSize>());
  for (std::size_t at = 0; at < plain.size(); at += kSlice) {
    const std::size_t length = std::min(kSlice, plain.size() - at);
    contexts.crypt(plain.subspan(at, length), sealed.data() + kIvSize + at);
    contexts.authenticate(sealed.subspan(kIvSize + at, length));
  }
  const Mac mac = contexts.finish();
  std::copy(mac.begin(), mac.end(), sealed.end() - kMacSize);
}

bool Crypto::opens_to(ByteView sealed, ByteView plain) const { return opens_to_same(*key_, sealed, plain); }

void Crypto::derive_local_key(std::span<std::uint8_t, 32> out, const char* purpose) const {
  static_assert(sizeof(RawKey) == crypto_generichash_KEYBYTES_MAX);
  require(crypto_generichash(out.data(), out.size(), reinterpret_cast<const std::uint8_t*>(purpose),
                             std::strlen(purpose), reinterpret_cast<const std::uint8_t*>(&*key_),
                             sizeof(RawKey)) == 0);
}

}  // namespace restic::repo
