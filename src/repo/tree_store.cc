// SPDX-License-Identifier: MIT
#include "repo/tree_store.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

namespace restic::repo {

using transport::Urgency;

namespace {

constexpr std::size_t kFirstCredit = 64;  // trees that may be read ahead at once when some are named,
constexpr std::size_t kEarnedCredit = 4;  // and how many more for each that proved useful
constexpr std::size_t kMostCredit = 8192;
constexpr std::size_t kWalkIsSure = 8;   // trees of a walk after which neighbours are read along
constexpr std::size_t kLeastBatch = 16;  // trees worth a request, unless nothing else is on its way
constexpr std::size_t kBatch = 256;      // trees in one request
constexpr std::size_t kMostFrontier = 1U << 16U;
constexpr std::size_t kUsualTree = 16U << 10U;  // bytes, decoded: to guess what is on its way

Result<TreePtr> decode(const Id& id, const Result<BlobPtr>& blob) {
  if (!blob.ok()) return blob.error();
  try {
    return decode_tree(blob.value()->bytes);
  } catch (const Error& error) {
    return Error(error.code(), "tree " + id.short_hex() + ": " + error.what());
  } catch (const std::exception&) {
    return Error(Errc::Io, "tree " + id.short_hex() + ": there is no memory to decode it");
  }
}

Result<BlobPtr> content(BlobSlot& slot) {
  try {
    return slot.wait();
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace

TreeStore::TreeStore(BlobReader& blobs, std::uint64_t capacity, std::uint64_t neighbour_bytes, TreeLog* log,
                     const Clock& clock)
    : blobs_(blobs), neighbour_bytes_(neighbour_bytes), log_(log), clock_(clock), cache_(capacity) {}

TreeStore::~TreeStore() {
  gate_->close();
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, flight] : flights_) {
      flight->result = Error(Errc::Cancelled, "the repository is being closed");
      flight->landed.notify_all();
    }
    leaving_ = true;
  }
  log_work_.notify_all();
  if (log_reader_.joinable()) log_reader_.join();
}

TreePtr TreeStore::cached(const Id& id) {
  bool was_unread = false;
  TreePtr tree = cache_.find(id, &was_unread);
  if (!tree) return find_large(id);
  if (!was_unread) return tree;
  {
    std::lock_guard lock(mutex_);
    forget_old_walk();
    earn();
  }
  fetch_ahead();
  return tree;
}

TreePtr TreeStore::find_large(const Id& id) {
  const std::lock_guard lock(large_mutex_);
  return id == large_id_ ? large_.lock() : nullptr;
}

void TreeStore::keep(const Id& id, const TreePtr& tree, bool unread) {
  const std::size_t bytes = tree->memory_bytes();
  if (cache_.can_hold(bytes)) return cache_.insert(id, tree, bytes, unread);
  const std::lock_guard lock(large_mutex_);
  large_id_ = id;
  large_ = tree;
}

// With mutex_ held. True: nobody has walked for a while, and what comes is a new walk.
bool TreeStore::forget_old_walk() {
  if (last_walk_ && clock_.now() - *last_walk_ <= decltype(cache_)::kPatience) return false;
  frontier_.clear();
  considered_.clear();
  credit_ = 0;
  earned_ = 0;
  return true;
}

// With mutex_ held: the walk has gone on to a tree.
void TreeStore::earn() {
  ++earned_;
  credit_ = std::min(credit_ + kEarnedCredit, kMostCredit);
  last_walk_ = clock_.now();
}

TreePtr TreeStore::tree(const Id& id) {
  const BlobKey key{BlobType::Tree, id};
  for (bool again = false;; again = true) {
    if (TreePtr tree = cached(id)) return tree;
    if (TreePtr tree = await_log_reader(id)) return tree;
    if (TreePtr tree = from_log(id)) return tree;
    const BlobSlotPtr slot = blobs_.request(std::span(&key, 1), Urgency::Demand).front();
    const FlightPtr flight = fly(id, slot, false);
    bool begins = false;
    {
      std::lock_guard lock(mutex_);
      begins = forget_old_walk();
      if (!again) earn();
      flight->demanded = true;
    }
    // restic stores the trees of a snapshot together, so the way down to a file costs one round trip.
    if (begins && neighbour_bytes_ != 0) blobs_.request_neighbours(key, neighbour_bytes_);
    fetch_ahead();
    std::unique_lock lock(mutex_);
    flight->landed.wait(lock, [&] { return flight->result.has_value(); });
    // A flight ahead fails sooner than one that somebody waits for: it looks for no fresh index. The log
    // never has the last word.
    if (flight->result->ok() || !flight->ahead || (again && !flight->from_log))
      return flight->result->value();
  }
}

// Null: it does not come from there, or the caller had better read it itself.
TreePtr TreeStore::await_log_reader(const Id& id) {
  std::unique_lock lock(mutex_);
  const auto found = flights_.find(id);
  if (found == flights_.end() || !found->second->from_log) return nullptr;
  const FlightPtr flight = found->second;
  forget_old_walk();
  earn();
  TreePtr tree;
  if (take_over(id, *flight)) {
    lock.unlock();
    tree = from_log(id);
    lock.lock();
    if (tree) enqueue_subtrees(*tree);
  } else {
    flight->demanded = true;
    flight->landed.wait(lock, [&] { return flight->result.has_value(); });
    const Result<TreePtr>& result = *flight->result;
    if (!result.ok() && result.error().code() == Errc::Cancelled) throw Error(result.error());
    if (result.ok()) tree = result.value();
  }
  lock.unlock();
  fetch_ahead();
  return tree;
}

// With mutex_ held. True: the log's reader had not come to it and leaves it alone. Nobody waits for such a
// flight.
bool TreeStore::take_over(const Id& id, Flight& flight) {
  if (!std::exchange(flight.queued, false)) return false;
  flights_.erase(id);
  --flying_ahead_;
  return true;
}

// Two threads may do this for one tree at once; the second one's is dropped.
TreePtr TreeStore::from_log(const Id& id) {
  TreePtr tree = decode_from_log(id);
  if (tree) keep(id, tree, false);
  return tree;
}

TreePtr TreeStore::decode_from_log(const Id& id) {
  if (log_ == nullptr) return nullptr;
  try {
    const std::optional<Bytes> blob = log_->get(id);
    return blob ? decode_tree(*blob) : nullptr;
  } catch (const std::exception&) {
    return nullptr;  // a tree that no version of ours should have kept; the repository has the last word
  }
}

void TreeStore::read_log() {
  std::unique_lock lock(mutex_);
  for (;;) {
    log_work_.wait(lock, [this] { return leaving_ || !log_queue_.empty(); });
    if (leaving_) return;
    const auto [id, flight] = std::move(log_queue_.front());
    log_queue_.pop_front();
    if (!std::exchange(flight->queued, false)) continue;
    lock.unlock();
    const TreePtr tree = decode_from_log(id);
    lock.lock();
    if (leaving_) return;
    if (tree) {
      keep(id, tree, !flight->demanded);
      enqueue_subtrees(*tree);
    }
    --flying_ahead_;
    flights_.erase(id);
    flight->result = tree ? Result<TreePtr>(tree) : Error(Errc::NotFound, "it is not in the local cache");
    flight->landed.notify_all();
    lock.unlock();
    fetch_ahead();
    lock.lock();
  }
}

// With mutex_ held. False: without a thread it is read when it is asked for.
bool TreeStore::queue_for_log_reader(const Id& id) {
  try {
    if (!log_reader_.joinable()) log_reader_ = std::thread([this] { read_log(); });
  } catch (const std::system_error&) {
    return false;
  }
  auto flight = std::make_shared<Flight>();
  flight->ahead = flight->from_log = flight->queued = true;
  flights_.emplace(id, flight);
  ++flying_ahead_;
  log_queue_.emplace_back(id, std::move(flight));
  log_work_.notify_one();
  return true;
}

// Joins the flight of a tree or starts one with the slot of its blob.
TreeStore::FlightPtr TreeStore::fly(const Id& id, const BlobSlotPtr& slot, bool ahead) {
  auto flight = std::make_shared<Flight>();
  flight->ahead = ahead;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = flights_.find(id); found != flights_.end()) {
      FlightPtr other = found->second;
      if (!take_over(id, *other)) return other;
    }
    // A flight may have landed since the caller looked into the cache.
    if (TreePtr tree = cache_.peek(id)) {
      flight->result = std::move(tree);
      return flight;
    }
    flights_.emplace(id, flight);
    if (ahead) ++flying_ahead_;
  }
  slot->when_ready([this, gate = gate_, id, flight, slot] {
    const GatePass pass(gate);
    if (pass) land(id, flight, slot);
  });
  return flight;
}

void TreeStore::land(const Id& id, const FlightPtr& flight, const BlobSlotPtr& slot) {
  const Result<BlobPtr> blob = content(*slot);
  Result<TreePtr> result = decode(id, blob);
  if (result.ok() && log_ != nullptr) log_->put(id, blob.value());
  {
    std::lock_guard lock(mutex_);
    if (result.ok()) {
      const TreePtr& tree = result.value();
      keep(id, tree, !flight->demanded);
      if (flight->ahead) enqueue_subtrees(*tree);
    }
    if (flight->ahead) --flying_ahead_;
    flights_.erase(id);
    flight->result = std::move(result);
    flight->landed.notify_all();
  }
  blobs_.retire({BlobType::Tree, id});
  if (flight->ahead) fetch_ahead();
}

void TreeStore::ahead(std::span<const Id> ids) {
  {
    std::lock_guard lock(mutex_);
    if (forget_old_walk()) credit_ = kFirstCredit;
    last_walk_ = clock_.now();
    credit_ = std::max(credit_, std::min(ids.size(), kFirstCredit));
    frontier_.insert(frontier_.begin(), ids.begin(), ids.end());
    if (frontier_.size() > kMostFrontier) frontier_.resize(kMostFrontier);
  }
  fetch_ahead();
}

// With mutex_ held.
void TreeStore::enqueue_subtrees(const Tree& tree) {
  if (tree.dir_count() == 0) return;
  if (considered_.size() > kMostFrontier) considered_.clear();
  for (std::size_t i = 0; i < tree.size() && frontier_.size() < kMostFrontier; ++i) {
    const std::optional<Id> subtree = tree.node(i).subtree;
    if (subtree && considered_.insert(*subtree).second) frontier_.push_back(*subtree);
  }
}

// One thread at a time goes through the frontier; trees that land meanwhile only tell it to look again, so
// that a chain of folders whose blobs are all in memory is followed in a loop.
void TreeStore::fetch_ahead() {
  {
    std::lock_guard lock(mutex_);
    if (fetching_) return;
    fetching_ = true;
  }
  for (;;) {
    const std::vector<BlobKey> batch = next_batch();
    if (batch.empty()) return;
    const std::vector<BlobSlotPtr> slots = blobs_.request(batch, Urgency::Ahead);
    const auto no_room = std::find(slots.begin(), slots.end(), nullptr) - slots.begin();
    for (std::ptrdiff_t i = 0; i < no_room; ++i) {
      const auto at = static_cast<std::size_t>(i);
      fly(batch[at].id, slots[at], true);
    }
    if (no_room < std::ssize(slots))
      return give_up(std::span(batch).subspan(static_cast<std::size_t>(no_room)));
    bool walk_is_sure = false;
    {
      std::lock_guard lock(mutex_);
      walk_is_sure = earned_ >= kWalkIsSure;
    }
    if (walk_is_sure && neighbour_bytes_ != 0) blobs_.request_neighbours(batch.front(), neighbour_bytes_);
  }
}

// Empty: nothing to do, and the next fetch_ahead() starts anew.
std::vector<BlobKey> TreeStore::next_batch() {
  std::vector<BlobKey> batch;
  std::lock_guard lock(mutex_);
  const std::uint64_t window = cache_.capacity() / 2, unread = cache_.unread_bytes();
  const std::uint64_t taken = unread + flying_ahead_ * kUsualTree;
  std::uint64_t most = (window - std::min(window, taken)) / kUsualTree;
  most = std::min<std::uint64_t>({most, credit_, kBatch});
  const bool worth_a_request =
      most >= std::min(kLeastBatch, frontier_.size()) || (unread == 0 && flying_ahead_ == 0);
  std::size_t taken_now = 0;
  while (worth_a_request && taken_now < most && !frontier_.empty()) {
    const Id id = frontier_.front();
    frontier_.pop_front();
    if (flights_.contains(id) || cache_.peek(id)) continue;
    const bool in_log = log_ != nullptr && log_->contains(id);
    if (!in_log) batch.push_back({BlobType::Tree, id});
    if (in_log && !queue_for_log_reader(id)) break;
    ++taken_now;
  }
  credit_ -= taken_now;
  if (batch.empty()) fetching_ = false;
  return batch;
}

// Blobs have no room: the rest waits until a tree lands or is asked for.
void TreeStore::give_up(std::span<const BlobKey> keys) {
  std::lock_guard lock(mutex_);
  credit_ += keys.size();
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) frontier_.push_front(key->id);
  fetching_ = false;
}

}  // namespace restic::repo
