// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "repo/blob_decoder.h"
#include "repo/cpu_pool.h"
#include "repo/gate.h"
#include "repo/range_loader.h"

namespace restic::repo {

// One large blob that is opened while the backend delivers it: on the backend's thread where that may
// compute, else on the pool, piece by piece and never by two threads at once. Thread-safe.
class Arrival : public std::enable_shared_from_this<Arrival> {
 public:
  using Decoded = std::function<void(Result<BlobPtr> blob)>;
  // `pool` null: on the backend's thread. `decoder` and `pool` are used only inside the gate. `decoded` is
  // told once, and only after finish() said so; it must not throw. Make it shared.
  Arrival(BlobDecoder& decoder, CpuPool* pool, std::shared_ptr<Gate> gate, const PackedBlob& blob,
          Decoded decoded);
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  // transport::OnArriving. When an attempt ends, waits for the piece that is at work, a millisecond at most.
  void on(std::span<std::uint8_t> all, std::size_t arrived) noexcept;
  // What the load ended with. True: it is taken over, and `decoded` will be told. False: nobody has opened
  // it, or `bytes` has become the error that opening it ended with.
  bool finish(Result<Bytes>& bytes, MemoryHold& hold);
  // Leaves the gate as soon as nobody is at work, unless it is finished. Does not block.
  void abandon();

 private:
  // What must be there while it is opened. The members go in reverse.
  struct Stay {
    explicit Stay(const std::shared_ptr<Gate>& gate) : pass(gate) {}
    GatePass pass;
    MemoryHold hold;
    std::shared_ptr<Bytes> bytes;
  };
  using StayPtr = std::shared_ptr<Stay>;
  using Lock = std::unique_lock<std::mutex>;

  void begin(std::span<std::uint8_t> all);
  void forget();
  StayPtr leave();
  bool call(Lock& lock);
  void work();
  std::optional<Error> open_piece(std::span<std::uint8_t> place, std::size_t to, bool last);

  BlobDecoder& decoder_;
  CpuPool* const pool_;
  const std::shared_ptr<Gate> gate_;
  const PackedBlob blob_;
  const Decoded decoded_;

  std::mutex mutex_;
  std::condition_variable rests_;
  bool called_ = false;   // somebody is at work, or will be
  bool at_work_ = false;  // and uses stay_ and opening_, which nobody changes meanwhile
  bool abandoned_ = false;
  std::span<std::uint8_t> place_;  // empty: there is nothing to open
  std::size_t arrived_ = 0, opened_ = 0;
  StayPtr stay_;                                 // not null while there is a place
  std::optional<BlobDecoder::Opening> opening_;  // of who is at work
  std::optional<Error> failure_;
  bool complete_ = false;
};

}  // namespace restic::repo
