// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "repo/cpu_pool.h"
#include "transport/backend.h"

namespace restic::repo {

// A Backend that asks another one early for what opening a repository is going to want, while scrypt runs:
// the config, the lists of index and snapshot files, and those files themselves, as far as they are small.
// Each answer is given out once; everything else is passed on. Answers that are there already complete on a
// pool thread. Thread-safe, never blocks.
class HeadStart final : public transport::Backend {
 public:
  static constexpr std::uint64_t kMostBytes = 8U << 20U;  // of files of a type loaded early
  static constexpr std::size_t kMostFiles = 64;           // of a type loaded early

  // Starts at once. Both must outlive what was started, not only this object.
  HeadStart(transport::Backend& backend, CpuPool& pool);
  ~HeadStart() override;
  HeadStart(const HeadStart&) = delete;
  HeadStart& operator=(const HeadStart&) = delete;

  // The fastest answer to a load so far: about the round trip to the storage.
  std::chrono::microseconds round_trip() const;

  void load(const transport::FileName& file, std::uint64_t limit, transport::Urgency urgency,
            transport::LoadDone done) override;
  void load_range(const transport::FileName& file, transport::ByteRange range, transport::Urgency urgency,
                  transport::LoadDone done) override;
  void load_range_arriving(const transport::FileName& file, transport::ByteRange range,
                           transport::Urgency urgency, const transport::OnArriving& arriving,
                           transport::LoadDone done) override;
  void list(transport::FileType type, transport::ListDone done) override;
  void save(const transport::FileName& file, transport::SharedContent content,
            transport::StatusDone done) override;
  void remove(const transport::FileName& file, transport::StatusDone done) override;
  void create(transport::StatusDone done) override;
  unsigned parallelism() const override;
  bool lends_threads() const override;
  std::string describe() const override;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace restic::repo
