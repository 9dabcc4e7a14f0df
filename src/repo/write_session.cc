// SPDX-License-Identifier: MIT
#include "repo/write_session.h"

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

#include "repo/crypto.h"
#include "repo/pack_header.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

constexpr std::chrono::seconds kHousekeepEvery{1};
constexpr std::chrono::seconds kRetryRefreshAfter{20};

// The last 4 bytes of the pack: there only if all of it is, and equal to the length of its header.
std::future<Result<Bytes>> load_trailer(transport::Backend& backend, const PackEntry& pack,
                                        std::uint32_t& header_length) {
  std::uint64_t size = 0;
  std::size_t header = kSealOverhead;
  for (const PackedBlob& blob : pack.blobs) {
    size += blob.length;
    header += header_entry_size(blob.uncompressed_length != 0);
  }
  header_length = static_cast<std::uint32_t>(header);
  auto promise = std::make_shared<std::promise<Result<Bytes>>>();
  backend.load_range({FileType::Pack, pack.pack.hex()}, {size + header, kPackTrailerSize},
                     transport::Urgency::Ahead,
                     [promise](Result<Bytes> result) { promise->set_value(std::move(result)); });
  return promise->get_future();
}

bool says(const Bytes& trailer, std::uint32_t header_length) {
  std::uint32_t value = 0;
  for (std::size_t i = trailer.size(); i-- > 0;) value = value << 8U | trailer[i];
  return value == header_length;
}

}  // namespace

Error lock_lost() {
  return {Errc::Locked,
          "the repository's lock could not be refreshed for more than 22 minutes; writing has stopped and "
          "starts over under a new lock"};
}

WriteSessions::WriteSessions(Repository& repository, MemoryBudget& budget, PackSpool& spool,
                             const LockOwner& owner, const LockJournal& journal,
                             std::chrono::milliseconds idle_release, const Clock& clock)
    : repository_(repository),
      budget_(budget),
      spool_(spool),
      idle_release_(idle_release),
      clock_(clock),
      lock_(repository, owner, journal, clock),
      keeper_([this](const std::stop_token& stop) { run(stop); }) {}

WriteSessions::~WriteSessions() {
  keeper_.request_stop();
  keeper_.join();
  close_unused(Ending::Abandon);
}

WriteSessions::Lease WriteSessions::lease() { return std::move(*lease(true)); }

std::optional<WriteSessions::Lease> WriteSessions::lease_unless_failed() { return lease(false); }

std::optional<WriteSessions::Lease> WriteSessions::lease(bool waits_for_users) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return state_ != State::Busy; });
    if (state_ == State::Open && !writer_->failure()) break;
    if (state_ == State::Open && users_ > 0) {
      if (!waits_for_users) return std::nullopt;
      // It failed, and its last user closes it.
      changed_.wait(lock);
      continue;
    }
    const bool was_open = state_ == State::Open;
    state_ = State::Busy;
    lock.unlock();
    try {
      if (was_open) close(Ending::Abandon);
      open();
    } catch (...) {
      lock.lock();
      state_ = State::Closed;
      changed_.notify_all();
      throw;
    }
    lock.lock();
    state_ = State::Open;
    next_refresh_ = clock_.now() + Lock::kRefreshEvery;
    changed_.notify_all();
    opened_.notify_all();
  }
  ++users_;
  return Lease(*this, *writer_);
}

void WriteSessions::give_back() {
  bool failed = false;
  {
    const std::lock_guard lock(mutex_);
    --users_;
    last_use_ = clock_.now();
    failed = writer_->failure().has_value();
    changed_.notify_all();
  }
  if (failed) close_unused(Ending::Abandon);
}

void WriteSessions::check_lock() const {
  if (const auto failure = writer_->failure()) throw Error(*failure);
  if (!lock_.usable()) throw lock_lost();
}

void WriteSessions::close_unused(Ending ending) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state_ != State::Busy; });
    if (state_ == State::Closed || users_ > 0) return;
    state_ = State::Busy;
  }
  close(ending);
  const std::lock_guard lock(mutex_);
  state_ = State::Closed;
  changed_.notify_all();
}

void WriteSessions::housekeep() {
  bool idle = false;
  {
    std::unique_lock lock(mutex_);
    if (state_ != State::Open) return;
    const Clock::Instant now = clock_.now();
    if (!lock_.usable()) writer_->fail(lock_lost());
    idle = users_ == 0 && (writer_->failure() || now - last_use_ >= idle_release_);
    if (!idle) {
      if (now < next_refresh_) return;
      state_ = State::Busy;
    }
  }
  if (idle) return close_unused(Ending::Finish);
  refresh_lock();
}

void WriteSessions::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!opened_.wait(lock, stop, [&] { return state_ == State::Open; })) return;
      opened_.wait_for(lock, stop, kHousekeepEvery, [] { return false; });
    }
    if (!stop.stop_requested()) housekeep();
  }
}

void WriteSessions::open() {
  lock_.acquire();
  try {
    remove_strays();
    repository_.refresh_index_to_write();
    writer_ = std::make_unique<BlobWriter>(repository_, budget_, spool_, clock_, [this]() -> Status {
      if (lock_.usable()) return Unit{};
      return lock_lost();
    });
    writer_->adopt(still_there(std::exchange(without_index_, {})));
  } catch (...) {
    writer_.reset();
    lock_.release();
    throw;
  }
}

void WriteSessions::remove_strays() {
  while (!strays_.empty()) {
    const FileName& file = strays_.back();
    try {
      transport::remove(repository_.backend(), file);
      repository_.log().warning(file.path() +
                                " is removed, for its writing failed or came after its lock was lost");
    } catch (const Error& error) {
      // Where nobody may remove anything, no prune has removed what the file names; half of one is in the
      // log.
      if (error.code() != Errc::NotFound && error.code() != Errc::Denied) {
        throw Error(error.code(),
                    file.path() +
                        ", whose writing failed or came after its lock was lost, may be there, and nothing "
                        "can be written until it is removed: " +
                        error.what());
      }
    }
    strays_.pop_back();
  }
}

void WriteSessions::close(Ending ending) noexcept {
  try {
    if (ending == Ending::Abandon) {
      writer_->fail(Error(Errc::Cancelled, "writing was given up"));
    } else {
      writer_->flush({});
    }
  } catch (const std::exception& error) {
    repository_.log().warning(std::string("what was stored ahead is lost again: ") + error.what());
  }
  try {
    if (writer_->failure()) without_index_ = writer_->give_up();
    std::ranges::move(writer_->take_strays(), std::back_inserter(strays_));
  } catch (const std::exception& error) {
    repository_.log().warning(std::string("uploaded packs are forgotten: ") + error.what());
  }
  writer_.reset();
  lock_.release();
}

void WriteSessions::refresh_lock() noexcept {
  Clock::Instant next = clock_.now();
  try {
    lock_.refresh();
    next += Lock::kRefreshEvery;
  } catch (const std::exception& error) {
    repository_.log().warning(std::string("cannot refresh the repository's lock: ") + error.what());
    next += kRetryRefreshAfter;
  }
  const std::lock_guard lock(mutex_);
  next_refresh_ = next;
  state_ = State::Open;
  changed_.notify_all();
}

// Of packs that were uploaded under an earlier lock without getting into an index: those that no prune has
// removed.
std::vector<PackEntry> WriteSessions::still_there(std::vector<PackEntry> packs) {
  const std::size_t at_once = std::max(1U, repository_.backend().parallelism());
  std::vector<PackEntry> there;
  for (std::size_t begin = 0; begin < packs.size(); begin += at_once) {
    const std::size_t end = std::min(packs.size(), begin + at_once);
    std::vector<std::future<Result<Bytes>>> trailers;
    std::vector<std::uint32_t> lengths(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
      trailers.push_back(load_trailer(repository_.backend(), packs[i], lengths[i - begin]));
    }
    for (std::size_t i = begin; i < end; ++i) {
      const Result<Bytes> trailer = trailers[i - begin].get();
      if (trailer.ok() && says(trailer.value(), lengths[i - begin])) there.push_back(std::move(packs[i]));
    }
  }
  return there;
}

}  // namespace restic::repo
