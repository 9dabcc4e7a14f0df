// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "repo/blob_reader.h"

namespace restic::repo {

// The slot of a blob on its way, or of one that is there already. Thread-safe.
class FetchSlot : public BlobSlot {
 public:
  FetchSlot() = default;
  explicit FetchSlot(Result<BlobPtr> result) : result_(std::move(result)) {}

  bool ready() const override;
  BlobPtr wait() override;
  void when_ready(std::function<void()> then) override;

  // The first completion stays; later ones are dropped. Runs what waits in when_ready.
  void complete(Result<BlobPtr> result);

 private:
  mutable std::mutex mutex_;
  std::condition_variable completed_;
  std::optional<Result<BlobPtr>> result_;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace restic::repo
