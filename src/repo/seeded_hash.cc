// SPDX-License-Identifier: MIT
#include "repo/seeded_hash.h"

#include <sodium.h>

namespace restic::repo {

SeededHash::SeededHash() { randombytes_buf(seed_.data(), sizeof seed_); }

const SeededHash& SeededHash::of_process() {
  static const SeededHash kHash;
  return kHash;
}

}  // namespace restic::repo
