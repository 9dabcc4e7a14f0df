// SPDX-License-Identifier: MIT
#include "transport/content.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

namespace restic::transport {
namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

class ViewReader final : public Content::Reader {
 public:
  explicit ViewReader(ByteView bytes) : left_(bytes) {}

  ByteView next(std::size_t most) override {
    const ByteView piece = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(piece.size());
    return piece;
  }

 private:
  ByteView left_;
};

class ContentInMemory final : public Content {
 public:
  explicit ContentInMemory(SharedBytes bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_->size(); }
  std::unique_ptr<Reader> read() const override { return std::make_unique<ViewReader>(*bytes_); }

 private:
  const SharedBytes bytes_;
};

}  // namespace

SharedContent in_memory(SharedBytes bytes) { return std::make_shared<ContentInMemory>(std::move(bytes)); }

bool equals(const Content& content, ByteView bytes) noexcept {
  try {
    if (content.size() != bytes.size()) return false;
    const std::unique_ptr<Content::Reader> reader = content.read();
    for (ByteView piece = reader->next(kAll); !piece.empty(); piece = reader->next(kAll)) {
      if (piece.size() > bytes.size() || !std::ranges::equal(piece, bytes.first(piece.size()))) return false;
      bytes = bytes.subspan(piece.size());
    }
    return bytes.empty();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace restic::transport
