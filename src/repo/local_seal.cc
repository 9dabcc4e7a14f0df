// SPDX-License-Identifier: MIT
#include "repo/local_seal.h"

#include <lz4.h>
#include <sodium.h>

#include <cstring>
#include <string>

#include "repo/xchacha.h"

namespace restic::repo {

namespace {

constexpr std::size_t kSealNonceSize = XChaCha::kNonceSize;
constexpr std::size_t kTagSize = XChaCha::kTagSize;
static_assert(LocalSeal::kOverhead == kSealNonceSize + kTagSize);

// The key for one use: a keyed hash of its name, the repository and the store.
void derive(std::span<std::uint8_t> out, const SecretBytes& from, std::string_view use, const Id& repository,
            std::string_view store) {
  std::string label(use);
  label.append(1, '\0').append(as_text(repository.bytes)).append(store);
  crypto_generichash(out.data(), out.size(), as_bytes(label).data(), label.size(), from.data(), from.size());
}

// What the MAC covers beside the content, so that records cannot be swapped or resized.
using Context = std::array<std::uint8_t, sizeof(LocalSeal::Token) + sizeof(std::uint64_t)>;
Context context_of(const LocalSeal::Token& token, std::uint64_t plain_size) {
  Context context;
  std::memcpy(context.data(), token.data(), token.size());
  std::memcpy(context.data() + token.size(), &plain_size, sizeof plain_size);
  return context;
}

// lz4 pays from a sixteenth on; below that the content is stored as it is, which its size shows.
std::size_t worthwhile(std::size_t plain_size) { return plain_size - plain_size / 16 - 1; }

std::size_t compress_if_worthwhile(ByteView plain, std::uint8_t* out) {
  if (plain.size() < 32) return 0;
  return static_cast<std::size_t>(
      LZ4_compress_default(reinterpret_cast<const char*>(plain.data()), reinterpret_cast<char*>(out),
                           static_cast<int>(plain.size()), static_cast<int>(worthwhile(plain.size()))));
}

}  // namespace

LocalSeal::LocalSeal(const Crypto& crypto, const Id& repository, std::string_view store) {
  SecretBytes local(32);
  crypto.derive_local_key(local.span().first<32>(), "mount.restic local cache");
  derive(keys_->seal, local, "seal", repository, store);
  derive(keys_->token, local, "token", repository, store);
  derive(keys_->check, local, "check", repository, store);
}

LocalSeal::Token LocalSeal::token(const Id& id) const {
  Token token;
  crypto_generichash(token.data(), token.size(), id.bytes.data(), id.bytes.size(), keys_->token.data(),
                     keys_->token.size());
  return token;
}

std::uint64_t LocalSeal::check(ByteView bytes) const {
  std::uint64_t sum = 0;
  static_assert(sizeof sum == crypto_shorthash_BYTES && sizeof(Keys::check) == crypto_shorthash_KEYBYTES);
  crypto_shorthash(reinterpret_cast<std::uint8_t*>(&sum), bytes.data(), bytes.size(), keys_->check.data());
  return sum;
}

void LocalSeal::seal(const Token& token, ByteView plain, Bytes& out) const {
  const std::size_t begin = out.size();
  out.resize(begin + plain.size() + kOverhead);
  std::uint8_t* const nonce = out.data() + begin;
  std::uint8_t* const content = nonce + kSealNonceSize;
  randombytes_buf(nonce, kSealNonceSize);
  std::size_t size = compress_if_worthwhile(plain, content);
  if (size == 0) {
    size = plain.size();
    if (size != 0) std::memcpy(content, plain.data(), size);
  }
  XChaCha::seal(keys_->seal, std::span<const std::uint8_t, kSealNonceSize>(nonce, kSealNonceSize),
                context_of(token, plain.size()), {content, size},
                std::span<std::uint8_t, kTagSize>(content + size, kTagSize));
  out.resize(begin + size + kOverhead);
}

std::optional<Bytes> LocalSeal::open(const Token& token, std::span<std::uint8_t> sealed,
                                     std::size_t plain_size) const {
  if (sealed.size() < kOverhead || plain_size > kMostPlain) return std::nullopt;
  const std::size_t size = sealed.size() - kOverhead;
  if (size > plain_size) return std::nullopt;
  const std::span<std::uint8_t> content = sealed.subspan(kSealNonceSize, size);
  Bytes plain;
  plain.resize(plain_size);
  const bool stored = size == plain_size;
  if (!XChaCha::open(keys_->seal, sealed.first<kSealNonceSize>(), context_of(token, plain_size), content,
                     sealed.last<kTagSize>(), stored ? plain.data() : content.data())) {
    return std::nullopt;
  }
  if (!stored && LZ4_decompress_safe(reinterpret_cast<const char*>(content.data()),
                                     reinterpret_cast<char*>(plain.data()), static_cast<int>(size),
                                     static_cast<int>(plain_size)) != static_cast<int>(plain_size)) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace restic::repo
