// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "repo/crypto.h"

namespace restic::repo {

// scrypt's cost. Memory is 128 * n * r bytes, work grows with n * r * p.
struct KdfParameters {
  std::uint64_t n = 32768;
  std::uint32_t r = 8;
  std::uint32_t p = 1;
};

// What a key file may ask of us. restic lets a file demand 2 GiB and unlimited time; it writes keys of at
// most 60 MiB and about half a second itself. These limits are 256 MiB and some ten seconds.
inline constexpr std::uint64_t kMaxKdfMemory = 256U << 20U;
inline constexpr std::uint64_t kMaxKdfWork = 1U << 25U;  // n * r * p
// Throws Error{Damaged} that begins with `what`: not a valid choice for scrypt, or beyond the limits.
void check_kdf_parameters(const KdfParameters& parameters, const std::string& what);

// A file in keys/: the master key, sealed with a key that scrypt derives from a password (FORMAT:
// cryptography and keys).
struct KeyFile {
  std::string created;  // RFC 3339, as written
  std::string username, hostname;
  KdfParameters kdf;
  Bytes salt;  // 64 bytes
  Bytes data;  // the sealed master key
};

// Checks everything that can be checked without the password. Throws Error{Damaged} that begins with `what`.
KeyFile decode_key_file(ByteView json, const std::string& what);
// Byte for byte as restic writes it; its name is its Id::of.
std::string encode_key_file(const KeyFile& key_file);

// The master key, or nullopt when the password is another. Takes scrypt's time and memory. Throws
// Error{Damaged} when the password fits but the master key is not one.
std::optional<SecretKey> open_key_file(const KeyFile& key_file, std::string_view password);

// Seals a master key under a password, with a fresh salt; `created`, `username` and `hostname` are taken as
// given.
KeyFile make_key_file(const RawKey& master, std::string_view password, const KdfParameters& kdf,
                      std::string created, std::string username, std::string hostname);

// A new random master key.
SecretKey new_master_key();

// Parameters that cost about half a second on this machine, as restic chooses them: n 32768, r 8, p by one
// timed run.
KdfParameters calibrate_kdf();

}  // namespace restic::repo
