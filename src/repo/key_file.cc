// SPDX-License-Identifier: MIT
#include "repo/key_file.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "repo/base64.h"
#include "repo/json_reader.h"
#include "repo/json_writer.h"

namespace restic::repo {
namespace {

constexpr std::size_t kSaltSize = 64;

Bytes decode_base64(std::string_view raw) {
  std::string text;
  append_unescaped(raw, text);
  std::optional<Bytes> bytes = from_base64(text);
  if (!bytes) throw JsonError{"a member is not base64"};
  return std::move(*bytes);
}

// Go decodes into arrays of fixed size: what is missing is zero, what is too much is dropped.
void decode_key_part(json::value& value, std::span<std::uint8_t> part) {
  const std::string_view text = raw_string(value);
  const SecretBytes decoded(text.size());
  const std::optional<std::size_t> length = from_base64(text, decoded.span());
  if (!length) throw JsonError{"a part of the key is not base64"};
  std::copy_n(decoded.data(), std::min(*length, part.size()), part.begin());
}

// `padded`: the plaintext, followed by the parser's padding; nothing of it is copied out of locked memory.
SecretKey decode_master_key(const SecretBytes& padded, const std::string& what) {
  SecretKey key;
  json::parser parser;
  const ByteView text = padded.view().first(padded.size() - simdjson::SIMDJSON_PADDING);
  decode_padded_json(text, what, parser, [&](json::document& document) {
    for_each_member(document.get_object(), [&](std::string_view name, json::value& value) {
      if (name == "encrypt") decode_key_part(value, key->encrypt);
      if (name != "mac") return;
      for_each_member(value.get_object(), [&](std::string_view mac_name, json::value& mac_value) {
        if (mac_name == "k") decode_key_part(mac_value, key->mac_k);
        if (mac_name == "r") decode_key_part(mac_value, key->mac_r);
      });
    });
  });
  if (!key->valid()) throw Error(Errc::Damaged, what + ": the master key in it is not valid");
  return key;
}

std::string encode_master_key(const RawKey& key) {
  JsonWriter json;
  json.begin_object();
  json.key("mac").begin_object();
  json.key("k").base64(key.mac_k).key("r").base64(key.mac_r);
  json.end_object();
  json.key("encrypt").base64(key.encrypt);
  json.end_object();
  return json.take();
}

// scrypt's 64 bytes are the parts of a key in their order.
SecretKey derive_user_key(std::string_view password, ByteView salt, const KdfParameters& kdf) {
  SecretKey key;
  static_assert(sizeof(RawKey) == 64);
  if (password.data() == nullptr) password = "";  // libsodium wants a pointer, also to nothing
  if (crypto_pwhash_scryptsalsa208sha256_ll(as_bytes(password).data(), password.size(), salt.data(),
                                            salt.size(), kdf.n, kdf.r, kdf.p, key->encrypt.data(),
                                            sizeof(RawKey)) != 0) {
    throw Error(Errc::Io, "not enough memory to derive the key from the password");
  }
  return key;
}

}  // namespace

void check_kdf_parameters(const KdfParameters& kdf, const std::string& what) {
  if (kdf.n < 2 || !std::has_single_bit(kdf.n) || kdf.r == 0 || kdf.p == 0) {
    throw Error(Errc::Damaged, what + ": has impossible scrypt parameters");
  }
  // Divisions, because the products may not fit.
  if (kdf.n > kMaxKdfMemory / 128 / kdf.r || kdf.p > kMaxKdfWork / kdf.r / kdf.n) {
    throw Error(Errc::Damaged, what + ": asks for too much memory or time for its password (scrypt N=" +
                                   std::to_string(kdf.n) + " r=" + std::to_string(kdf.r) +
                                   " p=" + std::to_string(kdf.p) + ")");
  }
}

KeyFile decode_key_file(ByteView json_text, const std::string& what) {
  KeyFile key_file;
  key_file.kdf = {0, 0, 0};
  std::string kdf;
  decode_json(json_text, what, [&](json::document& document) {
    for_each_member(document.get_object(), [&](std::string_view name, json::value& value) {
      if (name == "created") key_file.created = get_string(value);
      if (name == "username") key_file.username = get_string(value);
      if (name == "hostname") key_file.hostname = get_string(value);
      if (name == "kdf") kdf = get_string(value);
      if (name == "n") key_file.kdf.n = get_uint64(value);
      if (name == "r") key_file.kdf.r = get_uint32(value);
      if (name == "p") key_file.kdf.p = get_uint32(value);
      if (name == "salt") key_file.salt = decode_base64(raw_string(value));
      if (name == "data") key_file.data = decode_base64(raw_string(value));
    });
  });
  if (kdf != "scrypt") throw Error(Errc::Damaged, what + ": does not use scrypt");
  check_kdf_parameters(key_file.kdf, what);
  if (key_file.salt.size() != kSaltSize) throw Error(Errc::Damaged, what + ": its salt is not 64 bytes");
  if (key_file.data.size() < kSealOverhead)
    throw Error(Errc::Damaged, what + ": its sealed key is cut short");
  return key_file;
}

std::string encode_key_file(const KeyFile& key_file) {
  JsonWriter json;
  json.begin_object();
  json.key("created").string(key_file.created);
  json.key("username").string(key_file.username);
  json.key("hostname").string(key_file.hostname);
  json.key("kdf").string("scrypt");
  json.key("N").number(key_file.kdf.n);
  json.key("r").number(key_file.kdf.r);
  json.key("p").number(key_file.kdf.p);
  json.key("salt").base64(key_file.salt);
  json.key("data").base64(key_file.data);
  json.end_object();
  return json.take();
}

std::optional<SecretKey> open_key_file(const KeyFile& key_file, std::string_view password) {
  const SecretKey user_key = derive_user_key(password, key_file.salt, key_file.kdf);
  if (!user_key->valid()) return std::nullopt;
  const Crypto crypto(*user_key);
  // The key is decrypted where it cannot be swapped or dumped; room for the parser to read beyond the end.
  SecretBytes sealed(key_file.data.size());
  std::copy(key_file.data.begin(), key_file.data.end(), sealed.data());
  ByteView plain;
  if (!crypto.open_in_place(sealed.span(), plain)) return std::nullopt;
  const SecretBytes padded(plain.size() + simdjson::SIMDJSON_PADDING);
  std::copy(plain.begin(), plain.end(), padded.data());
  return decode_master_key(padded, "key file");
}

KeyFile make_key_file(const RawKey& master, std::string_view password, const KdfParameters& kdf,
                      std::string created, std::string username, std::string hostname) {
  check_kdf_parameters(kdf, "new key file");
  KeyFile key_file{std::move(created), std::move(username), std::move(hostname), kdf, Bytes(kSaltSize), {}};
  randombytes_buf(key_file.salt.data(), key_file.salt.size());
  const SecretKey user_key = derive_user_key(password, key_file.salt, kdf);
  std::string plain = encode_master_key(master);
  Crypto(*user_key).seal(as_bytes(plain), key_file.data);
  wipe(plain);
  return key_file;
}

SecretKey new_master_key() {
  SecretKey key;
  do {
    randombytes_buf(&*key, sizeof(RawKey));
  } while (!key->valid());
  return key;
}

KdfParameters calibrate_kdf() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kTarget{500};
  constexpr std::int64_t kMaxP = 64;
  KdfParameters kdf;
  const Bytes salt(kSaltSize, 0);
  const Clock::time_point start = Clock::now();
  derive_user_key("calibration", salt, kdf);
  const std::int64_t runs =
      kTarget / std::max<Clock::duration>(Clock::now() - start, std::chrono::milliseconds(1));
  kdf.p = static_cast<std::uint32_t>(std::clamp<std::int64_t>(runs, 1, kMaxP));
  return kdf;
}

}  // namespace restic::repo
