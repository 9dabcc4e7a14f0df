// SPDX-License-Identifier: MIT
#include "repo/compression.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>

#include "base/error.h"

namespace restic::repo {
namespace {

constexpr int kWindowLog = 19;  // 512 KiB, restic's own

// The most a decoder allocates for a frame's window. restic's frames need 512 KiB; other writers go up to
// zstd's default limit for decoders.
constexpr int kMaxWindowLog = 27;

// The densest zstd can say: a block of 4 bytes that repeats one byte 128 KiB times.
constexpr std::size_t kMaxRatio = 32768;

// Memory taken at once on the word of a frame; pages that are never written cost nothing.
constexpr std::size_t kTrustedSize = 64U << 20U;

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

ZSTD_DCtx* decoder() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeContext> context = [] {
    std::unique_ptr<ZSTD_DCtx, FreeContext> made(ZSTD_createDCtx());
    if (!made || ZSTD_isError(ZSTD_DCtx_setParameter(made.get(), ZSTD_d_windowLogMax, kMaxWindowLog)) != 0) {
      throw std::bad_alloc();
    }
    return made;
  }();
  return context.get();
}

ZSTD_CCtx* encoder() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  return context.get();
}

[[noreturn]] void throw_undecodable(const std::string& what, const char* why) {
  throw Error(Errc::Damaged, what + ": cannot be decompressed: " + why);
}

// Frame by frame into memory that grows with what really comes out.
void decompress_growing(ByteView frames, std::size_t limit, const std::string& what, Bytes& plain) {
  ZSTD_DCtx* const context = decoder();
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_inBuffer in{frames.data(), frames.size(), 0};
  const std::size_t ceiling = limit + 1;  // the byte too many that shows an excess
  plain.resize(std::min(ceiling, std::max<std::size_t>(frames.size() * 4, ZSTD_DStreamOutSize())));
  std::size_t produced = 0;
  std::size_t pending = 1;  // 0: at the end of a frame
  while (in.pos < in.size || pending != 0) {
    ZSTD_outBuffer out{plain.data(), plain.size(), produced};
    const std::size_t consumed_before = in.pos;
    pending = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(pending) != 0) throw_undecodable(what, ZSTD_getErrorName(pending));
    const bool progress = out.pos > produced || in.pos > consumed_before;
    produced = out.pos;
    if (produced > limit) throw_undecodable(what, "it is larger than allowed");
    if (pending == 0) continue;
    if (produced == plain.size()) {
      plain.resize(std::min(ceiling, plain.size() * 2));
    } else if (in.pos == in.size && !progress) {
      throw_undecodable(what, "it is cut short");
    }
  }
  plain.resize(produced);
}

}  // namespace

bool decompress_into(ByteView frames, std::span<std::uint8_t> plain) {
  const std::size_t result =
      ZSTD_decompressDCtx(decoder(), plain.data(), plain.size(), frames.data(), frames.size());
  return ZSTD_isError(result) == 0 && result == plain.size();
}

bool plausible_plain_size(std::size_t compressed, std::size_t plain) {
  return plain / kMaxRatio <= compressed;
}

Bytes decompress(ByteView frames, std::size_t limit, const std::string& what) {
  Bytes plain;
  decompress(frames, limit, what, plain);
  return plain;
}

void decompress(ByteView frames, std::size_t limit, const std::string& what, Bytes& plain) {
  plain.clear();  // so that growing copies nothing
  const unsigned long long promised = ZSTD_getFrameContentSize(frames.data(), frames.size());
  if (promised != ZSTD_CONTENTSIZE_ERROR && promised != ZSTD_CONTENTSIZE_UNKNOWN &&
      promised <= std::min(limit, kTrustedSize)) {
    plain.resize(static_cast<std::size_t>(promised));
    if (decompress_into(frames, plain)) return;
  }
  decompress_growing(frames, limit, what, plain);
}

void compress(ByteView plain, Bytes& out, int level) {
  ZSTD_CCtx* const context = encoder();
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  const std::size_t start = out.size();
  out.resize(start + ZSTD_compressBound(plain.size()));
  std::size_t result = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  if (ZSTD_isError(result) == 0) result = ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kWindowLog);
  if (ZSTD_isError(result) == 0) {
    result = ZSTD_compress2(context, out.data() + start, out.size() - start, plain.data(), plain.size());
  }
  if (ZSTD_isError(result) != 0) {
    throw Error(Errc::Io, std::string("cannot compress: ") + ZSTD_getErrorName(result));
  }
  out.resize(start + result);
}

}  // namespace restic::repo
