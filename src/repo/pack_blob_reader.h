// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "repo/arrival.h"
#include "repo/blob_cache.h"
#include "repo/blob_decoder.h"
#include "repo/blob_reader.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/fetch_plan.h"
#include "repo/gate.h"
#include "repo/index.h"
#include "repo/index_refresher.h"
#include "repo/neighbour_map.h"
#include "repo/range_loader.h"
#include "transport/backend.h"

namespace restic::repo {

// Where a reader finds its blobs, and what it asks for when they are not there any more.
struct IndexSource {
  std::function<std::shared_ptr<const Index>()> current;  // cheap, from any thread
  std::function<void()> refresh;                          // may block on the network and throw Error
};

struct BlobReaderOptions {
  std::uint64_t memory_bytes = 96ULL << 20U;      // cache and flights together
  FetchLimits limits;                             // what the storage makes worth while
  std::chrono::milliseconds refresh_pause{2000};  // between two refreshes of the index for failed packs
};

// The BlobReader over the packs of a backend.
//
// A blob that is not what its id promises, or whose pack is missing or too short, is read once more by
// itself, then from every other copy the index names, then, when somebody waits for it, once more from where
// a fresh index says it is: a prune may have moved it. Only then it fails, with the first error, naming blob
// and pack. Outages are not retried here; the backend has done so.
class PackBlobReader : public BlobReader {
 public:
  // All references must outlive the reader.
  PackBlobReader(transport::Backend& backend, const Crypto& crypto, CpuPool& pool, Log& log,
                 IndexSource source, const BlobReaderOptions& options);
  // As stop(); waits for decoding and a refresh under way, not for loads.
  ~PackBlobReader() override;
  // Fails every slot that is not ready, and all that are asked for later, with Cancelled. Does not block.
  void stop();
  PackBlobReader(const PackBlobReader&) = delete;
  PackBlobReader& operator=(const PackBlobReader&) = delete;

  BlobPtr cached(const BlobKey& key) override;
  std::vector<BlobSlotPtr> request(std::span<const BlobKey> keys, transport::Urgency urgency) override;
  void request_neighbours(const BlobKey& key, std::uint64_t bytes) override;
  void retire(const BlobKey& key) override;
  std::optional<std::uint32_t> plain_size(const BlobKey& key) override;
  std::uint64_t room_ahead() const override;
  BlobReaderStats stats() const override;

 private:
  struct Flight;
  using FlightPtr = std::shared_ptr<Flight>;
  struct Cargo;
  struct Landing;
  struct Booking;

  BlobSlotPtr book(const Index& index, const BlobKey& key, Booking& booking);
  std::uint64_t memory_ahead() const;
  std::uint64_t memory_for(std::uint64_t sealed, std::uint64_t plain) const;
  RangeLoadPtr make_load(const Id& pack, transport::ByteRange range, std::shared_ptr<const Cargo> cargo,
                         transport::Urgency urgency);
  void open_while_it_arrives(RangeLoad& load, const std::shared_ptr<const Cargo>& cargo);
  void load_alone(const FlightPtr& flight, const BlobPlace& place);
  void arrived(const std::shared_ptr<const Cargo>& cargo, std::uint64_t begin, Result<Bytes> bytes,
               MemoryHold hold);
  void decode(const std::shared_ptr<Landing>& landing, std::size_t first, std::size_t last);
  void decoded(const Cargo& cargo, std::size_t position, Result<BlobPtr> blob);
  void divert(const FlightPtr& flight, const BlobPlace& place, const Error& error);
  void relocate(const FlightPtr& flight);
  void finish(const FlightPtr& flight, Result<BlobPtr> result);
  NeighbourMap::Stretch ask_stretch(const Index& index, const BlobPlace& blob, NeighbourMap::Stretch stretch);

  CpuPool& pool_;
  Log& log_;
  const IndexSource source_;
  const FetchLimits limits_;
  const bool decodes_on_arrival_;  // on the backend's thread, which saves a change of threads a range
  const std::shared_ptr<Gate> gate_;
  mutable BlobCache cache_;
  RangeLoader loader_;
  NeighbourMap neighbours_;
  BlobDecoder decoder_;

  std::mutex mutex_;
  std::unordered_map<BlobKey, FlightPtr, BlobKeyHash> flights_;
  std::vector<std::weak_ptr<Arrival>> arrivals_;
  bool stopping_ = false;

  std::atomic<std::uint64_t> hits_{0}, misses_{0}, decoded_bytes_{0};
  std::unique_ptr<IndexRefresher> refresher_;  // never null; ends before the rest
};

}  // namespace restic::repo
