// SPDX-License-Identifier: MIT
#include "repo/index_fetch.h"

#include <utility>

#include "repo/sealed_file.h"

namespace restic::repo {

namespace {

constexpr int kMostAttempts = 2;

transport::FileName index_file(const std::string& name) {
  return {.type = transport::FileType::Index, .name = name};
}

// Says something about the repository as a whole and not about one file.
bool is_fatal(Errc code) {
  return code == Errc::Unavailable || code == Errc::Timeout || code == Errc::Cancelled;
}

}  // namespace

IndexFetch::IndexFetch(transport::Backend& backend, const Crypto& crypto, unsigned repository_version,
                       CpuPool& pool, std::vector<transport::FileInfo> files)
    : backend_(backend), crypto_(crypto), repository_version_(repository_version), pool_(pool) {
  for (std::size_t i = files.size(); i > 0; --i) waiting_.push_back(i - 1);
  for (transport::FileInfo& file : files) {
    files_.push_back({.outcome = {.file = std::move(file), .segment = nullptr, .error = std::nullopt}});
  }
}

IndexFetch::~IndexFetch() { gate_->close(); }

std::vector<IndexFetch::Outcome> IndexFetch::run(const Progress& progress, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  std::size_t reported = 0;
  while (reported < files_.size() && !fatal_ && !stop.stop_requested()) {
    if (may_start()) {
      const std::size_t number = waiting_.back();
      waiting_.pop_back();
      ++in_flight_;
      bytes_in_flight_ += listed_size(number);
      ++files_[number].attempts;
      lock.unlock();
      start(number);
      lock.lock();
    } else {
      changed_.wait(lock, stop, [&] { return may_start() || done_ != reported || fatal_; });
    }
    if (done_ != reported) {
      reported = done_;
      lock.unlock();
      if (progress) progress(reported);
      lock.lock();
    }
  }
  if (fatal_) throw Error(*fatal_);
  if (reported < files_.size()) throw Error(Errc::Cancelled, "loading the index was cancelled");
  std::vector<Outcome> outcomes;
  for (File& file : files_) outcomes.push_back(std::move(file.outcome));
  return outcomes;
}

bool IndexFetch::may_start() const {
  if (waiting_.empty() || in_flight_ >= backend_.parallelism()) return false;
  return in_flight_ == 0 || bytes_in_flight_ + listed_size(waiting_.back()) <= kMostWaitingBytes;
}

// No more is loaded of it: a file that is longer than the list says is not what its name says either.
std::uint64_t IndexFetch::listed_size(std::size_t number) const {
  return std::min<std::uint64_t>(files_[number].outcome.file.size, kMaxSealedFile);
}

void IndexFetch::start(std::size_t number) {
  // The name in files_ does not change, so no lock is needed to read it.
  backend_.load(index_file(files_[number].outcome.file.name), listed_size(number), transport::Urgency::Demand,
                [this, gate = gate_, number](Result<Bytes> stored) {
                  const GatePass pass(gate);
                  if (pass) arrived(number, std::move(stored));
                });
}

void IndexFetch::arrived(std::size_t number, Result<Bytes> stored) {
  if (!stored.ok()) return finish(number, Error(stored.error()));
  pool_.submit([this, gate = gate_, number, bytes = stored.take()]() mutable {
    const GatePass pass(gate);
    if (pass) decode(number, std::move(bytes));
  });
}

void IndexFetch::decode(std::size_t number, Bytes stored) {
  try {
    std::unique_ptr<Decoder> decoder = take_decoder();
    const transport::FileName name = index_file(files_[number].outcome.file.name);
    open_sealed_file(crypto_, repository_version_, name, std::move(stored), decoder->json);
    const std::optional<Id> id = Id::from_hex(name.name);
    if (!id) throw Error(Errc::Damaged, name.path() + ": not a file name");
    IndexSegmentPtr segment = decoder->parser.parse(*id, decoder->json, repository_version_);
    {
      const std::lock_guard lock(mutex_);
      idle_decoders_.push_back(std::move(decoder));
    }
    finish(number, std::move(segment));
  } catch (const Error& error) {
    finish(number, error);
  } catch (const std::exception&) {  // no memory
    finish(number, Error(Errc::Io, "index/" + files_[number].outcome.file.name + ": no memory to decode it"));
  }
}

void IndexFetch::finish(std::size_t number, Result<IndexSegmentPtr> result) {
  const std::lock_guard lock(mutex_);
  File& file = files_[number];
  --in_flight_;
  bytes_in_flight_ -= listed_size(number);
  if (result.ok()) {
    file.outcome.segment = result.take();
    ++done_;
  } else if (is_fatal(result.error().code())) {
    if (!fatal_) fatal_ = result.error();
  } else if (result.error().code() == Errc::Damaged && file.attempts < kMostAttempts) {
    waiting_.push_back(number);
  } else {
    file.outcome.error = result.error();
    ++done_;
  }
  changed_.notify_all();
}

std::unique_ptr<IndexFetch::Decoder> IndexFetch::take_decoder() {
  const std::lock_guard lock(mutex_);
  if (idle_decoders_.empty()) return std::make_unique<Decoder>();
  std::unique_ptr<Decoder> decoder = std::move(idle_decoders_.back());
  idle_decoders_.pop_back();
  return decoder;
}

}  // namespace restic::repo
