// SPDX-License-Identifier: MIT
#include "repo/id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "repo/hex.h"
#include "repo/sha256_lanes.h"

namespace restic::repo {
namespace {

// Fetched once: that costs more than hashing a small blob.
const EVP_MD* sha256() {
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kSha256;
}

// SHA-256 has no other way to fail.
void require(int success) {
  if (success != 1) throw std::bad_alloc();
}

}  // namespace

struct IdHasher::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

IdHasher::IdHasher() : context_(std::make_unique<Context>()) {
  if (!context_->evp || sha256() == nullptr) throw std::bad_alloc();
}
IdHasher::~IdHasher() = default;

void IdHasher::start() { require(EVP_DigestInit_ex2(context_->evp.get(), sha256(), nullptr)); }
void IdHasher::add(ByteView piece) {
  require(EVP_DigestUpdate(context_->evp.get(), piece.data(), piece.size()));
}
Id IdHasher::finish() {
  Id id;
  unsigned length = 0;
  require(EVP_DigestFinal_ex(context_->evp.get(), id.bytes.data(), &length));
  return id;
}

std::string Id::hex() const { return to_hex(bytes); }

std::string Id::short_hex() const { return to_hex(ByteView(bytes).first(4)); }

std::optional<Id> Id::from_hex(std::string_view text) {
  Id id;
  if (!from_hex_digits(text, id.bytes)) return std::nullopt;
  return id;
}

Id Id::of(ByteView content) {
  thread_local IdHasher hasher;
  hasher.start();
  hasher.add(content);
  return hasher.finish();
}

void ids_of(std::span<const ByteView> contents, std::span<Id> ids) {
  if (contents.size() < 2 || !Sha256Lanes::available()) {
    std::ranges::transform(contents, ids.begin(), &Id::of);
    return;
  }
  Sha256Lanes lanes;
  std::array<std::size_t, Sha256Lanes::kLanes> positions{};  // of the contents in the lanes
  std::size_t next = 0;
  for (std::size_t done = 0; done < contents.size();) {
    for (std::size_t lane = 0; lane < positions.size(); ++lane) {
      if (lanes.done(lane)) {
        ids[positions[lane]] = lanes.take(lane);
        ++done;
      }
      if (!lanes.busy(lane) && next < contents.size()) {
        positions[lane] = next;
        lanes.start(lane, contents[next++]);
      }
    }
    lanes.run(SIZE_MAX);
  }
}

}  // namespace restic::repo
