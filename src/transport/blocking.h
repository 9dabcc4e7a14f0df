// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "transport/backend.h"

namespace restic::transport {

// Waits for one asynchronous call. `start` gets the completion to pass on:
//   Bytes config = await<Bytes>([&](auto done) { backend.load(file, limit, Urgency::Demand, std::move(done));
//   });
// Throws the call's Error, and Cancelled as soon as `stop` is asked for: the call then goes on, and its
// answer finds nobody. Never call it on a backend's own thread or inside a TBB task.
template <class T, class Start>
T await(Start&& start, const std::stop_token& stop = {}) {
  struct Arrival {
    std::mutex mutex;
    std::condition_variable_any arrived;
    std::optional<Result<T>> result;
  };
  const auto arrival = std::make_shared<Arrival>();
  std::forward<Start>(start)([arrival](Result<T> result) {
    const std::lock_guard lock(arrival->mutex);
    arrival->result.emplace(std::move(result));
    arrival->arrived.notify_all();
  });
  std::unique_lock lock(arrival->mutex);
  if (!arrival->arrived.wait(lock, stop, [&] { return arrival->result.has_value(); })) {
    throw Error(Errc::Cancelled, "nobody waits for the answer any more");
  }
  return arrival->result->take();
}

Bytes load(Backend& backend, const FileName& file, std::uint64_t limit);
Bytes load_range(Backend& backend, const FileName& file, ByteRange range);
std::vector<FileInfo> list(Backend& backend, FileType type, const std::stop_token& stop = {});
void save(Backend& backend, const FileName& file, SharedBytes content);
void remove(Backend& backend, const FileName& file);

}  // namespace restic::transport
