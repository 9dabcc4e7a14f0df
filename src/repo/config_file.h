// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/polynomial.h"

namespace restic::repo {

// What the `config` file of a repository says (FORMAT: repository layout).
struct Config {
  unsigned version = 0;  // 1 or 2
  Id id;
  Polynomial chunker_polynomial = 0;  // irreducible; may still be one that only a reader can live with
};

// From the file's plaintext. Throws Error{Unsupported} for another version, Error{Damaged} for anything that
// restic would not open either, and for an id that is not 64 hex digits (restic would use it as a folder
// name).
Config decode_config(ByteView json);

// The plaintext of a new config file, byte for byte as restic writes it.
std::string encode_config(const Config& config);

// A config for a new repository: format 2, random id and polynomial.
Config new_config();

}  // namespace restic::repo
