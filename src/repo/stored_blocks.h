// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace restic::repo {

// Walks through a zstd frame (RFC 8878) whose blocks hold their content as it is: so zstd stores what it
// cannot compress, which is most of what large files are made of. Such a frame needs no decoder, and may be
// walked through while its bytes are still arriving and not verified: nothing is done but counting, within
// bounds. Any other frame is refused, and is zstd's to decode. Not thread-safe; never fails.
class StoredBlocks {
 public:
  // `frame` is all of it, also what is not there yet.
  explicit StoredBlocks(ByteView frame) : frame_(frame) {}

  // The next piece of content within the first `available` bytes of the frame, a part of `frame`. Empty:
  // there is none before more is available, or at all.
  ByteView next(std::size_t available);
  // The last block was the last of the frame, and the frame ends with it.
  bool ended() const { return state_ == State::Ended; }
  bool refused() const { return state_ == State::Refused; }

 private:
  enum class State { FrameHeader, BlockHeader, Content, Ended, Refused };

  void read_frame_header(std::size_t available);
  void read_block_header(std::size_t available);
  void end_block();

  ByteView frame_;
  State state_ = State::FrameHeader;
  std::size_t at_ = 0;    // in the frame
  std::size_t left_ = 0;  // of the block's content
  bool is_last_ = false;
};

// Moves the content of such a frame together, to the frame's beginning, where its `plain_size` bytes are
// returned. Nullopt: the frame is another one or has other content; then nothing was moved.
std::optional<ByteView> join_stored_blocks(std::span<std::uint8_t> frame, std::size_t plain_size);

}  // namespace restic::repo
