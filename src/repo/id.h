// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "repo/seeded_hash.h"

namespace restic::repo {

// A SHA-256: the name of a blob (of its plaintext) or of a file (of its stored bytes).
struct Id {
  static constexpr std::size_t kSize = 32;
  std::array<std::uint8_t, kSize> bytes{};

  auto operator<=>(const Id&) const = default;
  bool is_zero() const { return *this == Id{}; }
  std::string hex() const;                              // 64 lower-case digits
  std::string short_hex() const;                        // the first 8
  static std::optional<Id> from_hex(std::string_view);  // exactly 64 lower-case digits
  static Id of(ByteView content);                       // SHA-256
};

// The Id of content that comes in pieces. Not thread-safe. Throws std::bad_alloc.
class IdHasher {
 public:
  IdHasher();
  ~IdHasher();
  IdHasher(const IdHasher&) = delete;
  IdHasher& operator=(const IdHasher&) = delete;

  void start();
  void add(ByteView piece);
  Id finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The SHA-256 of each content, to its place in `ids`; takes less time than one after the other where the
// processor can compute two at once.
void ids_of(std::span<const ByteView> contents, std::span<Id> ids);

enum class BlobType : std::uint8_t { Data, Tree };

// What the index is asked for: the same bytes may exist as a data and as a tree blob.
struct BlobKey {
  BlobType type;
  Id id;
  bool operator==(const BlobKey&) const = default;
};

struct IdHash {
  std::size_t operator()(const Id& id) const noexcept { return SeededHash::of_process()(id.bytes); }
};
struct BlobKeyHash {
  std::size_t operator()(const BlobKey& key) const noexcept {
    return IdHash()(key.id) ^ static_cast<std::size_t>(key.type);
  }
};

}  // namespace restic::repo
