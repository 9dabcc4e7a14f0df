// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "transport/backend.h"

namespace restic::transport {

// Waits for one asynchronous call. `start` gets the completion to pass on:
//   Bytes config = await<Bytes>([&](auto done) { backend.load(file, limit, Urgency::Demand, std::move(done));
//   });
// Throws the call's Error. Never call it on a backend's own thread or inside a TBB task.
template <class T, class Start>
T await(Start&& start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> future = promise->get_future();
  std::forward<Start>(start)([promise](Result<T> result) { promise->set_value(std::move(result)); });
  return future.get().take();
}

Bytes load(Backend& backend, const FileName& file, std::uint64_t limit);
Bytes load_range(Backend& backend, const FileName& file, ByteRange range);
std::vector<FileInfo> list(Backend& backend, FileType type);
void save(Backend& backend, const FileName& file, SharedBytes content);
void remove(Backend& backend, const FileName& file);

}  // namespace restic::transport
