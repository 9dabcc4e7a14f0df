// SPDX-License-Identifier: MIT
#include "repo/id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>

#include "repo/hex.h"
#include "repo/sha256_lanes.h"

namespace restic::repo {
namespace {

// Fetching an algorithm costs more than hashing a small blob, so it is done once, and each thread keeps its
// context.
class Sha256Context {
 public:
  Sha256Context() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    if (!context_ || algorithm() == nullptr) throw std::bad_alloc();
  }

  Id digest(ByteView content) {
    Id id;
    unsigned length = 0;
    if (EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) != 1 ||
        EVP_DigestUpdate(context_.get(), content.data(), content.size()) != 1 ||
        EVP_DigestFinal_ex(context_.get(), id.bytes.data(), &length) != 1) {
      throw std::bad_alloc();  // SHA-256 has no other way to fail
    }
    return id;
  }

 private:
  static const EVP_MD* algorithm() {
    static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return kSha256;
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string Id::hex() const { return to_hex(bytes); }

std::string Id::short_hex() const { return to_hex(ByteView(bytes).first(4)); }

std::optional<Id> Id::from_hex(std::string_view text) {
  Id id;
  if (!from_hex_digits(text, id.bytes)) return std::nullopt;
  return id;
}

Id Id::of(ByteView content) {
  thread_local Sha256Context context;
  return context.digest(content);
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
