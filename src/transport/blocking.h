// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "transport/backend.h"

namespace restic::transport {

// The answer of one asynchronous call that is under way, for a thread that does other things before it waits.
// Whoever loses interest just lets go of it: the answer then finds nobody.
template <class T>
class Answer {
 public:
  // The completion to pass to the call; once.
  std::function<void(Result<T>)> done() {
    return [arrival = arrival_](Result<T> result) {
      const std::lock_guard lock(arrival->mutex);
      arrival->result.emplace(std::move(result));
      arrival->arrived.notify_all();
    };
  }

  // Throws the call's Error, and Cancelled as soon as `stop` is asked for. Once. Never call it on a backend's
  // own thread or inside a TBB task.
  T wait(const std::stop_token& stop = {}) {
    std::unique_lock lock(arrival_->mutex);
    if (!arrival_->arrived.wait(lock, stop, [&] { return arrival_->result.has_value(); })) {
      throw Error(Errc::Cancelled, "nobody waits for the answer any more");
    }
    return arrival_->result->take();
  }

 private:
  struct Arrival {
    std::mutex mutex;
    std::condition_variable_any arrived;
    std::optional<Result<T>> result;
  };
  std::shared_ptr<Arrival> arrival_ = std::make_shared<Arrival>();
};

// Waits for one asynchronous call, as Answer::wait does. `start` gets the completion to pass on:
//   Bytes config = await<Bytes>([&](auto done) { backend.load(file, limit, Urgency::Demand, std::move(done));
//   });
template <class T, class Start>
T await(Start&& start, const std::stop_token& stop = {}) {
  Answer<T> answer;
  std::forward<Start>(start)(answer.done());
  return answer.wait(stop);
}

Bytes load(Backend& backend, const FileName& file, std::uint64_t limit);
Bytes load_range(Backend& backend, const FileName& file, ByteRange range);
std::vector<FileInfo> list(Backend& backend, FileType type, const std::stop_token& stop = {});
void save(Backend& backend, const FileName& file, SharedBytes content);
void remove(Backend& backend, const FileName& file);

}  // namespace restic::transport
