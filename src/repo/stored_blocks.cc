// SPDX-License-Identifier: MIT
#include "repo/stored_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace restic::repo {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{0x28, 0xB5, 0x2F, 0xFD};
constexpr std::size_t kBlockHeader = 3;
constexpr std::size_t kMostInBlock = 128U << 10U;

}  // namespace

ByteView StoredBlocks::next(std::size_t available) {
  available = std::min(available, frame_.size());
  for (;;) {
    const std::size_t before = at_;
    if (state_ == State::FrameHeader) {
      read_frame_header(available);
    } else if (state_ == State::BlockHeader) {
      read_block_header(available);
    } else {
      break;
    }
    if (at_ == before) return {};
  }
  if (state_ != State::Content) return {};
  const ByteView piece = frame_.subspan(at_, std::min(left_, available - at_));
  at_ += piece.size();
  left_ -= piece.size();
  if (left_ == 0) end_block();
  return piece;
}

void StoredBlocks::read_frame_header(std::size_t available) {
  if (available < kMagic.size() + 1) return;
  // Its lowest bits: a dictionary, a checksum, and what has to be zero.
  const std::uint8_t descriptor = frame_[kMagic.size()];
  if (!std::ranges::equal(kMagic, frame_.first(kMagic.size())) || (descriptor & 0x1FU) != 0) {
    state_ = State::Refused;
    return;
  }
  const bool single_segment =
      (descriptor & 0x20U) != 0;  // no byte for the window, and at least one for the size
  const unsigned flag = descriptor >> 6U;
  const std::size_t size_bytes = flag == 0 ? (single_segment ? 1 : 0) : std::size_t{1} << flag;
  const std::size_t header = kMagic.size() + 1 + (single_segment ? 0 : 1) + size_bytes;
  if (available < header) return;
  at_ = header;
  state_ = State::BlockHeader;
}

void StoredBlocks::read_block_header(std::size_t available) {
  if (available - at_ < kBlockHeader) return;
  const std::uint32_t header =
      frame_[at_] | std::uint32_t{frame_[at_ + 1]} << 8U | std::uint32_t{frame_[at_ + 2]} << 16U;
  const bool is_stored = (header >> 1U & 3U) == 0;
  left_ = header >> 3U;
  if (!is_stored || left_ > kMostInBlock || left_ > frame_.size() - at_ - kBlockHeader) {
    state_ = State::Refused;
    return;
  }
  is_last_ = (header & 1U) != 0;
  at_ += kBlockHeader;
  state_ = State::Content;
  if (left_ == 0) end_block();
}

void StoredBlocks::end_block() {
  if (!is_last_) {
    state_ = State::BlockHeader;
  } else {
    state_ = at_ == frame_.size() ? State::Ended : State::Refused;
  }
}

std::optional<ByteView> join_stored_blocks(std::span<std::uint8_t> frame, std::size_t plain_size) {
  StoredBlocks look(frame);
  std::size_t size = 0;
  for (ByteView piece = look.next(frame.size()); !piece.empty(); piece = look.next(frame.size()))
    size += piece.size();
  if (!look.ended() || size != plain_size) return std::nullopt;

  StoredBlocks blocks(frame);
  std::size_t end = 0;
  for (ByteView piece = blocks.next(frame.size()); !piece.empty(); piece = blocks.next(frame.size())) {
    std::memmove(frame.data() + end, piece.data(), piece.size());
    end += piece.size();
  }
  return ByteView(frame.first(end));
}

}  // namespace restic::repo
