// SPDX-License-Identifier: MIT
#include "repo/pack_blob_reader.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "repo/fetch_slot.h"

namespace restic::repo {

using transport::Urgency;

namespace {

// Decoding a smaller piece costs less than handing it to another thread.
constexpr std::uint64_t kTaskBytes = 128U << 10U;
// restic's chunker cuts no smaller blob but the last of a file: a smaller one may be a whole small file.
constexpr std::uint32_t kSmallestChunk = 512U << 10U;
constexpr std::size_t kMostNeighbours = 65536;  // on either side of a blob, in one call

std::string name_of(const BlobKey& key) {
  return (key.type == BlobType::Tree ? "tree " : "blob ") + key.id.short_hex();
}

Error closing() { return {Errc::Cancelled, "the repository is being closed"}; }

// The error with the names of blob and pack. A pack that is missing is damage to the repository: NotFound is
// only said of blobs that no index names.
Error in_pack(const BlobKey& key, const BlobPlace& place, const Error& error) {
  const bool missing = error.code() == Errc::NotFound;
  return {missing ? Errc::Damaged : error.code(),
          name_of(key) + " in data/" + place.pack.hex() + ": " +
              (missing ? "the storage says that the pack is not there" : error.what())};
}

// Whether another copy, or the same place asked again, may do better.
bool worth_another_try(const Error& error) {
  switch (error.code()) {
    case Errc::Damaged:
    case Errc::NotFound:
    case Errc::Denied:
    case Errc::Io:
      return true;
    default:
      return false;
  }
}

}  // namespace

// A blob on its way. `key` and `slot` never change; the rest is guarded by mutex_ until the first failure and
// belongs to whoever handles the failure afterwards, one at a time.
struct PackBlobReader::Flight {
  BlobKey key;
  std::shared_ptr<FetchSlot> slot = std::make_shared<FetchSlot>();
  bool demanded = false;           // guarded by mutex_, always
  std::weak_ptr<RangeLoad> load;   // guarded by mutex_, always
  std::vector<BlobPlace> untried;  // further copies
  std::vector<BlobPlace> failed;   // where it was tried in vain
  bool alone_tried = false;        // the present place was read by itself
  bool relocated = false;
  std::optional<Error> first_error;
};

// The blobs of one range, ascending by offset.
struct PackBlobReader::Cargo {
  struct Item {
    FlightPtr flight;
    BlobPlace place;
  };
  std::vector<Item> items;
};

// The bytes of one range while they are decoded. The members go in reverse: first the bytes, then the memory
// they were accounted with, then the way in.
struct PackBlobReader::Landing {
  explicit Landing(const std::shared_ptr<Gate>& gate) : pass(gate) {}

  GatePass pass;
  MemoryHold hold;
  std::shared_ptr<const Cargo> cargo;
  std::uint64_t begin = 0;
  std::shared_ptr<Bytes> bytes;
};

// What one call of request() leads to.
struct PackBlobReader::Booking {
  Urgency urgency = Urgency::Demand;
  std::uint64_t room = UINT64_MAX;
  std::vector<FlightPtr> flights;  // new ones,
  std::vector<BlobPlace> places;   // and where each starts
  std::vector<RangeLoadPtr> waited_for;
};

PackBlobReader::PackBlobReader(transport::Backend& backend, const Crypto& crypto, CpuPool& pool, Log& log,
                               IndexSource source, const BlobReaderOptions& options)
    : pool_(pool),
      log_(log),
      source_(std::move(source)),
      limits_(options.limits),
      decodes_on_arrival_(backend.lends_threads()),
      gate_(std::make_shared<Gate>()),
      cache_(options.memory_bytes),
      loader_(backend, cache_, gate_),
      decoder_(crypto, pool),
      refresher_(std::make_unique<IndexRefresher>(source_.refresh, options.refresh_pause, log)) {}

PackBlobReader::~PackBlobReader() {
  stop();
  gate_->close();  // whoever is inside may still ask the refresher
  refresher_.reset();
}

void PackBlobReader::stop() {
  std::unordered_map<BlobKey, FlightPtr, BlobKeyHash> flights;
  std::vector<std::weak_ptr<Arrival>> arrivals;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    flights.swap(flights_);
    arrivals.swap(arrivals_);
  }
  loader_.stop();
  for (const std::weak_ptr<Arrival>& weak : arrivals) {
    if (const std::shared_ptr<Arrival> arrival = weak.lock()) arrival->abandon();
  }
  for (const auto& [key, flight] : flights) flight->slot->complete(closing());
}

BlobPtr PackBlobReader::cached(const BlobKey& key) {
  BlobPtr blob = cache_.find(key);
  if (blob) ++hits_;
  return blob;
}

std::vector<BlobSlotPtr> PackBlobReader::request(std::span<const BlobKey> keys, Urgency urgency) {
  Booking booking;
  booking.urgency = urgency;
  if (urgency == Urgency::Ahead) booking.room = memory_ahead();
  const std::shared_ptr<const Index> index = source_.current();
  std::vector<BlobSlotPtr> slots(keys.size());
  std::vector<RangeLoadPtr> loads;
  {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      slots[i] = book(*index, keys[i], booking);
      if (!slots[i]) break;
    }
    for (const PlannedRange& planned : plan_fetch(booking.places, limits_)) {
      auto cargo = std::make_shared<Cargo>();
      for (const std::size_t position : planned.blobs) {
        cargo->items.push_back({booking.flights[position], booking.places[position]});
      }
      loads.push_back(make_load(planned.pack, planned.range, std::move(cargo), urgency));
    }
  }
  loader_.submit(loads);
  for (const RangeLoadPtr& load : booking.waited_for) loader_.hurry(load);
  return slots;
}

// With mutex_ held. Null: no room.
BlobSlotPtr PackBlobReader::book(const Index& index, const BlobKey& key, Booking& booking) {
  const bool demand = booking.urgency == Urgency::Demand;
  if (BlobPtr blob = demand ? cache_.find(key) : cache_.peek(key)) {
    hits_ += demand ? 1 : 0;
    return std::make_shared<FetchSlot>(std::move(blob));
  }
  if (const auto found = flights_.find(key); found != flights_.end()) {
    Flight& flight = *found->second;
    if (demand && !flight.demanded) {
      flight.demanded = true;
      if (RangeLoadPtr load = flight.load.lock()) booking.waited_for.push_back(std::move(load));
    }
    return flight.slot;
  }
  if (stopping_) return std::make_shared<FetchSlot>(closing());
  std::vector<BlobPlace> copies;
  index.locate(key, copies);
  if (copies.empty()) {
    return std::make_shared<FetchSlot>(Error(Errc::NotFound, name_of(key) + " is in no index file"));
  }
  std::optional<Error> lie;
  std::erase_if(copies, [&](const BlobPlace& place) {
    auto problem = implausible(place.blob);
    if (problem) lie = in_pack(key, place, *problem);
    return problem.has_value();
  });
  if (copies.empty()) return std::make_shared<FetchSlot>(*lie);
  const std::uint64_t memory = memory_for(copies.front().blob.length, copies.front().blob.plain_size());
  if (memory > booking.room) return nullptr;
  if (!demand) booking.room -= memory;
  ++misses_;
  auto flight = std::make_shared<Flight>();
  flight->key = key;
  flight->demanded = demand;
  flight->untried.assign(copies.begin() + 1, copies.end());
  flights_.emplace(key, flight);
  booking.places.push_back(copies.front());
  booking.flights.push_back(flight);
  return flight->slot;
}

// What is on its way has the one size, and then the other. Both are there while it is decoded: all the time
// when the thread that reads it does so or it is opened on its way, and else for a few only.
std::uint64_t PackBlobReader::memory_for(std::uint64_t sealed, std::uint64_t plain) const {
  return decodes_on_arrival_ ? sealed + plain : std::max(sealed, plain);
}

// With mutex_ held.
RangeLoadPtr PackBlobReader::make_load(const Id& pack, transport::ByteRange range,
                                       std::shared_ptr<const Cargo> cargo, Urgency urgency) {
  auto load = std::make_shared<RangeLoad>();
  load->pack = pack;
  load->range = range;
  load->urgency = urgency;
  std::uint64_t plain = 0;
  for (const Cargo::Item& item : cargo->items) {
    item.flight->load = load;
    plain += item.place.blob.plain_size();
  }
  // What is read ahead comes in numbers, and keeps all processors busy as it is.
  const PackedBlob& first = cargo->items.front().place.blob;
  const bool opens_on_its_way =
      urgency == Urgency::Demand && first.length == range.length && BlobDecoder::is_large(first);
  load->memory = opens_on_its_way ? range.length + plain : memory_for(range.length, plain);
  if (opens_on_its_way) {
    open_while_it_arrives(*load, cargo);
    return load;
  }
  load->arrived = [this, begin = range.offset, cargo = std::move(cargo)](Result<Bytes> bytes,
                                                                         MemoryHold hold) {
    arrived(cargo, begin, std::move(bytes), std::move(hold));
  };
  return load;
}

// With mutex_ held. For a blob that is a range of its own.
void PackBlobReader::open_while_it_arrives(RangeLoad& load, const std::shared_ptr<const Cargo>& cargo) {
  const auto arrival = std::make_shared<Arrival>(
      decoder_, decodes_on_arrival_ ? nullptr : &pool_, gate_, cargo->items.front().place.blob,
      [this, cargo](Result<BlobPtr> blob) { decoded(*cargo, 0, std::move(blob)); });
  std::erase_if(arrivals_, [](const std::weak_ptr<Arrival>& other) { return other.expired(); });
  arrivals_.push_back(arrival);
  if (stopping_) arrival->abandon();
  load.arriving = [arrival](std::span<std::uint8_t> all, std::size_t arrived) { arrival->on(all, arrived); };
  load.arrived = [this, arrival, cargo, begin = load.range.offset](Result<Bytes> bytes, MemoryHold hold) {
    if (!arrival->finish(bytes, hold)) arrived(cargo, begin, std::move(bytes), std::move(hold));
  };
}

void PackBlobReader::load_alone(const FlightPtr& flight, const BlobPlace& place) {
  flight->alone_tried = true;
  auto cargo = std::make_shared<Cargo>();
  cargo->items.push_back({flight, place});
  RangeLoadPtr load;
  {
    std::lock_guard lock(mutex_);
    load = make_load(place.pack, {place.blob.offset, place.blob.length}, std::move(cargo),
                     flight->demanded ? Urgency::Demand : Urgency::Ahead);
  }
  loader_.submit(std::span(&load, 1));
}

// On a thread of the backend's.
void PackBlobReader::arrived(const std::shared_ptr<const Cargo>& cargo, std::uint64_t begin,
                             Result<Bytes> bytes, MemoryHold hold) {
  const auto& items = cargo->items;
  if (!bytes.ok()) {
    hold.reset();
    for (const Cargo::Item& item : items) divert(item.flight, item.place, bytes.error());
    return;
  }
  auto landing = std::make_shared<Landing>(gate_);
  if (!landing->pass) return;
  landing->hold = std::move(hold);
  landing->cargo = cargo;
  landing->begin = begin;
  landing->bytes = std::make_shared<Bytes>(bytes.take());
  if (decodes_on_arrival_) return decode(landing, 0, items.size());
  for (std::size_t first = 0, last = 0; first < items.size(); first = last) {
    for (std::uint64_t size = 0; last < items.size() && size < kTaskBytes; ++last) {
      size += std::max(items[last].place.blob.length, items[last].place.blob.plain_size());
    }
    pool_.submit([this, landing, first, last] { decode(landing, first, last); });
  }
}

void PackBlobReader::decode(const std::shared_ptr<Landing>& landing, std::size_t first, std::size_t last) {
  std::vector<SealedBlob> blobs;
  blobs.reserve(last - first);
  for (std::size_t i = first; i < last; ++i) {
    const PackedBlob& blob = landing->cargo->items[i].place.blob;
    blobs.push_back({blob, std::span(*landing->bytes).subspan(blob.offset - landing->begin, blob.length)});
  }
  decoder_.decode(blobs, landing->bytes, [this, landing, first](std::size_t position, Result<BlobPtr> blob) {
    decoded(*landing->cargo, first + position, std::move(blob));
  });
}

void PackBlobReader::decoded(const Cargo& cargo, std::size_t position, Result<BlobPtr> blob) {
  const auto& [flight, place] = cargo.items[position];
  if (!blob.ok()) return divert(flight, place, blob.error());
  decoded_bytes_ += blob.value()->bytes.size();
  finish(flight, std::move(blob));
}

void PackBlobReader::divert(const FlightPtr& flight, const BlobPlace& place, const Error& error) {
  if (!flight->first_error) flight->first_error = in_pack(flight->key, place, error);
  if (!worth_another_try(error)) return finish(flight, *flight->first_error);
  // A bad sector under one blob fails the whole range, and so does a pack that ends within it.
  const bool may_be_neighbours = error.code() == Errc::Damaged || error.code() == Errc::Io;
  if (may_be_neighbours && !flight->alone_tried) return load_alone(flight, place);
  flight->failed.push_back(place);
  if (!flight->untried.empty()) {
    const BlobPlace next = flight->untried.back();
    flight->untried.pop_back();
    return load_alone(flight, next);
  }
  bool wanted = false;
  {
    std::lock_guard lock(mutex_);
    wanted = flight->demanded && !stopping_;
    // Whoever wants it from now on starts a flight that looks further.
    if (!wanted && !stopping_) flights_.erase(flight->key);
  }
  if (!wanted) return flight->slot->complete(*flight->first_error);
  if (flight->relocated) return finish(flight, *flight->first_error);
  flight->relocated = true;
  refresher_->ask(place.pack, [this, flight] { relocate(flight); });
}

// On the refresher's thread.
void PackBlobReader::relocate(const FlightPtr& flight) {
  std::vector<BlobPlace> places;
  source_.current()->locate(flight->key, places);
  std::erase_if(places, [&](const BlobPlace& place) {
    return implausible(place.blob).has_value() ||
           std::any_of(flight->failed.begin(), flight->failed.end(), [&](const BlobPlace& failed) {
             return failed.pack == place.pack && failed.blob.offset == place.blob.offset;
           });
  });
  if (places.empty()) return finish(flight, *flight->first_error);
  log_.info(name_of(flight->key) + " is read from data/" + places.front().pack.hex() + " instead of data/" +
            flight->failed.front().pack.hex());
  flight->untried.assign(places.begin() + 1, places.end());
  load_alone(flight, places.front());
}

// Into the cache first, out of the flights second: whoever finds no flight any more finds the blob.
void PackBlobReader::finish(const FlightPtr& flight, Result<BlobPtr> result) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      if (result.ok()) cache_.insert(flight->key, result.value(), result.value()->charged, !flight->demanded);
      flights_.erase(flight->key);
    }
  }
  flight->slot->complete(std::move(result));
}

void PackBlobReader::request_neighbours(const BlobKey& key, std::uint64_t bytes) {
  const std::shared_ptr<const Index> index = source_.current();
  std::vector<BlobPlace> places;
  index->locate(key, places);
  if (places.empty()) return;
  const BlobPlace place = places.front();
  const NeighbourMap::Stretch blob{place.blob.offset, std::uint64_t{place.blob.offset} + place.blob.length};
  const NeighbourMap::Wish wish = neighbours_.wish(place.pack, blob, bytes, cache_.peek(key) != nullptr);
  for (const NeighbourMap::Stretch& stretch : {wish.beyond, wish.behind}) {
    if (!stretch.empty()) neighbours_.asked(place.pack, ask_stretch(*index, place, stretch));
  }
}

// Returns the part of the stretch, from the blob on, for which there was room.
NeighbourMap::Stretch PackBlobReader::ask_stretch(const Index& index, const BlobPlace& blob,
                                                  NeighbourMap::Stretch stretch) {
  std::vector<BlobPlace> places;
  index.in_pack(blob.pack_number, stretch.begin, stretch.end, kMostNeighbours, places);
  const BlobType type = blob.blob.key.type;
  std::erase_if(places, [&](const BlobPlace& near) {
    return near.blob.key.type != type || (type == BlobType::Data && near.blob.plain_size() >= kSmallestChunk);
  });
  // The nearest first: where room ends, the farthest are left out.
  const bool behind = stretch.end <= blob.blob.offset;
  if (behind) std::reverse(places.begin(), places.end());
  std::vector<BlobKey> keys;
  keys.reserve(places.size());
  for (const BlobPlace& near : places) keys.push_back(near.blob.key);
  const auto slots = request(keys, Urgency::Ahead);
  const auto left_out =
      static_cast<std::size_t>(std::find(slots.begin(), slots.end(), nullptr) - slots.begin());
  if (left_out == slots.size()) return stretch;
  const PackedBlob& first_left_out = places[left_out].blob;
  if (behind) {
    stretch.begin = std::uint64_t{first_left_out.offset} + first_left_out.length;
  } else {
    stretch.end = first_left_out.offset;
  }
  return stretch;
}

void PackBlobReader::retire(const BlobKey& key) { cache_.retire(key); }

std::optional<std::uint32_t> PackBlobReader::plain_size(const BlobKey& key) {
  return source_.current()->plain_size(key);
}

std::uint64_t PackBlobReader::room_ahead() const {
  return decodes_on_arrival_ ? memory_ahead() / 2 : memory_ahead();
}

std::uint64_t PackBlobReader::memory_ahead() const {
  const std::uint64_t share = cache_.capacity() / 8 * 5;
  return share - std::min(share, loader_.ahead_bytes() + cache_.unread_bytes());
}

BlobReaderStats PackBlobReader::stats() const {
  BlobReaderStats stats;
  stats.requests = loader_.requests();
  stats.fetched_bytes = loader_.fetched_bytes();
  stats.decoded_bytes = decoded_bytes_;
  stats.hits = hits_;
  stats.misses = misses_;
  stats.cached_bytes = cache_.cached_bytes();
  stats.budget_bytes = cache_.capacity();
  stats.in_flight_bytes = cache_.reserved_bytes();
  return stats;
}

}  // namespace restic::repo
