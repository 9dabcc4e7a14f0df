// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/error.h"
#include "repo/cpu_pool.h"
#include "repo/crypto.h"
#include "repo/gate.h"
#include "repo/index_file.h"
#include "transport/backend.h"

namespace restic::repo {

// Loads and decodes a set of index files, once: the caller's thread starts the loads, the backend's threads
// deliver, the pool decodes. At most `backend.parallelism()` files and kMostWaitingBytes of stored bytes (or
// one file) are between the two at any time. A file that arrives damaged is loaded once more: the line may be
// to blame.
class IndexFetch {
 public:
  static constexpr std::uint64_t kMostWaitingBytes = 8U << 20U;

  struct Outcome {
    transport::FileInfo file;
    IndexSegmentPtr segment;     // null: failed
    std::optional<Error> error;  // why
  };
  using Progress = std::function<void(std::size_t done)>;

  // Everything must outlive the fetch, the backend also the loads that it abandons.
  IndexFetch(transport::Backend& backend, const Crypto& crypto, unsigned repository_version, CpuPool& pool,
             std::vector<transport::FileInfo> files);
  // Waits for decoding under way, not for loads.
  ~IndexFetch();
  IndexFetch(const IndexFetch&) = delete;
  IndexFetch& operator=(const IndexFetch&) = delete;

  // Blocks until every file is decoded or has failed, then returns one outcome a file. `progress` is called
  // on this thread, each count once at most, the last one always. Throws Cancelled as soon as `stop` is asked
  // for, and Unavailable, Timeout or Cancelled as soon as one file fails with it; loads under way are then
  // abandoned. Once.
  std::vector<Outcome> run(const Progress& progress, const std::stop_token& stop);

 private:
  struct File {
    Outcome outcome;
    int attempts = 0;
  };

  // What a thread decodes files with, one after the other, in the same memory.
  struct Decoder {
    IndexFileParser parser;
    Bytes json;
  };

  bool may_start() const;
  std::uint64_t listed_size(std::size_t number) const;
  void start(std::size_t number);
  void arrived(std::size_t number, Result<Bytes> stored);
  void decode(std::size_t number, Bytes stored);
  void finish(std::size_t number, Result<IndexSegmentPtr> result);
  std::unique_ptr<Decoder> take_decoder();

  transport::Backend& backend_;
  const Crypto& crypto_;
  const unsigned repository_version_;
  CpuPool& pool_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<File> files_;
  std::vector<std::size_t> waiting_;  // numbers of files to start, the next at the back
  std::vector<std::unique_ptr<Decoder>> idle_decoders_;
  std::size_t in_flight_ = 0, done_ = 0;
  std::uint64_t bytes_in_flight_ = 0;
  std::optional<Error> fatal_;
};

}  // namespace restic::repo
