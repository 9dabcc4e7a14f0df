// SPDX-License-Identifier: MIT
// Any bytes decode as a snapshot or fail as Damaged; what decodes survives being written and read once more.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "repo/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  restic::repo::Snapshot snapshot;
  try {
    snapshot = restic::repo::decode_snapshot({}, {data, size});
  } catch (const restic::Error& error) {
    if (error.code() != restic::Errc::Damaged) std::abort();
    return 0;
  }
  const std::string text = restic::repo::encode_snapshot(snapshot);
  const restic::repo::Snapshot again = restic::repo::decode_snapshot({}, restic::as_bytes(text));
  if (again.tree != snapshot.tree || restic::repo::encode_snapshot(again) != text) std::abort();
  return 0;
}
