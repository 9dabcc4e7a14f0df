// SPDX-License-Identifier: MIT
#include "transport/blocking.h"

namespace restic::transport {

Bytes load(Backend& backend, const FileName& file, std::uint64_t limit) {
  return await<Bytes>([&](LoadDone done) { backend.load(file, limit, Urgency::Demand, std::move(done)); });
}

Bytes load_range(Backend& backend, const FileName& file, ByteRange range) {
  return await<Bytes>(
      [&](LoadDone done) { backend.load_range(file, range, Urgency::Demand, std::move(done)); });
}

std::vector<FileInfo> list(Backend& backend, FileType type, const std::stop_token& stop) {
  return await<std::vector<FileInfo>>([&](ListDone done) { backend.list(type, std::move(done)); }, stop);
}

void save(Backend& backend, const FileName& file, SharedBytes content) {
  await<Unit>([&](StatusDone done) { backend.save(file, in_memory(std::move(content)), std::move(done)); });
}

void remove(Backend& backend, const FileName& file) {
  await<Unit>([&](StatusDone done) { backend.remove(file, std::move(done)); });
}

}  // namespace restic::transport
