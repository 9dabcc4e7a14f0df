// SPDX-License-Identifier: MIT
#pragma once

#include "repo/crypto.h"

namespace restic::test {

// A key for tests that need any; always the same one.
inline repo::RawKey some_key() {
  repo::RawKey key;
  key.encrypt.fill(1);
  key.mac_k.fill(2);
  key.mac_r.fill(3);
  return key;
}

inline const repo::Crypto& some_crypto() {
  static const repo::Crypto kCrypto(some_key());
  return kCrypto;
}

}  // namespace restic::test
