// SPDX-License-Identifier: MIT
#include "repo/key_file.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "repo/id.h"
#include "support/some_key.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;
using test::some_key;

const KdfParameters kCheap{2, 1, 1};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// A valid key file for kCheap, to be spoilt.
std::string key_text() {
  return encode_key_file(make_key_file(some_key(), "secret", kCheap, "2026-01-02T03:04:05Z", "u", "h"));
}

// Seals a plaintext as the master key of `key_file` is sealed.
Bytes seal_with_password(const KeyFile& key_file, std::string_view password, std::string_view plain) {
  RawKey user_key;
  static_assert(sizeof(RawKey) == 64);
  EXPECT_EQ(crypto_pwhash_scryptsalsa208sha256_ll(
                as_bytes(password).data(), password.size(), key_file.salt.data(), key_file.salt.size(),
                key_file.kdf.n, key_file.kdf.r, key_file.kdf.p, user_key.encrypt.data(), sizeof(RawKey)),
            0);
  Bytes sealed;
  Crypto(user_key).seal(as_bytes(plain), sealed);
  return sealed;
}

KeyFile decode(const std::string& text) { return decode_key_file(as_bytes(text), "keys/ab"); }

TEST(KeyFile, EveryVectorOpensWithItsPasswordAndNoOther) {
  for (const Json& vector : Json::load("kdf")["vectors"].items()) {
    const std::string text = vector["key_file"].text();
    EXPECT_EQ(Id::of(as_bytes(text)), vector["key_file_name"].id());
    const KeyFile key_file = decode(text);
    EXPECT_EQ(key_file.kdf.n, vector["N"].number());
    EXPECT_EQ(encode_key_file(key_file), text);

    const Bytes password = vector["password_utf8_hex"].hex();
    const std::optional<SecretKey> key = open_key_file(key_file, as_text(password));
    ASSERT_TRUE(key);
    const Json expected = Json::parse(vector["master_key_json"].text());
    EXPECT_TRUE(std::ranges::equal((*key)->encrypt, expected["encrypt"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_k, expected["mac"]["k"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_r, expected["mac"]["r"].base64()));
    EXPECT_FALSE(open_key_file(key_file, std::string(as_text(password)) + "x"));
  }
}

TEST(KeyFile, ANewOneOpensWithItsPasswordOnly) {
  const SecretKey master = new_master_key();
  const KeyFile key_file =
      make_key_file(*master, "pass word", {1024, 8, 1}, "2026-01-02T03:04:05Z", "user", "host");
  const KeyFile read = decode(encode_key_file(key_file));
  EXPECT_EQ(read.created, "2026-01-02T03:04:05Z");
  EXPECT_EQ(read.username, "user");
  EXPECT_EQ(read.hostname, "host");
  const std::optional<SecretKey> opened = open_key_file(read, "pass word");
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->encrypt, master->encrypt);
  EXPECT_EQ((*opened)->mac_k, master->mac_k);
  EXPECT_EQ((*opened)->mac_r, master->mac_r);
  for (const char* wrong : {"", "pass", "pass word ", " pass word"})
    EXPECT_FALSE(open_key_file(read, wrong)) << wrong;
}

TEST(KeyFile, HasASaltOfItsOwn) { EXPECT_NE(decode(key_text()).salt, decode(key_text()).salt); }

TEST(KeyFile, ShortPartsOfAMasterKeyAreFilledWithZeros) {
  KeyFile key_file = decode(key_text());
  const std::string plain = R"({"mac":{"k":"AQ==","r":"AgM="},"encrypt":"BA=="})";
  key_file.data = seal_with_password(key_file, "secret", plain);
  const std::optional<SecretKey> key = open_key_file(key_file, "secret");
  ASSERT_TRUE(key);
  EXPECT_EQ((*key)->mac_k[0], 1);
  EXPECT_EQ((*key)->mac_k[1], 0);
  EXPECT_EQ((*key)->mac_r[1], 3);
  EXPECT_EQ((*key)->encrypt[0], 4);
}

TEST(KeyFile, AbsurdCostsAreRefusedBeforeTheyArePaid) {
  const auto with = [](const std::string& n, const std::string& r, const std::string& p) {
    return replaced(key_text(), R"("N":2,"r":1,"p":1)", R"("N":)" + n + R"(,"r":)" + r + R"(,"p":)" + p);
  };
  EXPECT_NO_THROW(decode(with("262144", "8", "1")));       // 256 MiB
  EXPECT_THROW(decode(with("1048576", "8", "1")), Error);  // 1 GiB
  EXPECT_THROW(decode(with("32768", "8", "2097151")), Error);
  EXPECT_THROW(decode(with("9223372036854775808", "1", "1")), Error);
  EXPECT_THROW(decode(with("2", "4294967295", "4294967295")), Error);
  EXPECT_THROW(decode(with("2", "4294967296", "1")), Error);
  EXPECT_THROW(decode(with("0", "8", "1")), Error);
  EXPECT_THROW(decode(with("1", "8", "1")), Error);
  EXPECT_THROW(decode(with("3", "8", "1")), Error);
  EXPECT_THROW(decode(with("-2", "8", "1")), Error);
  EXPECT_THROW(decode(with("2", "0", "1")), Error);
  EXPECT_THROW(decode(with("2", "1", "0")), Error);
}

TEST(KeyFile, RefusesWhatIsNotAKeyFile) {
  EXPECT_THROW(decode(""), Error);
  EXPECT_THROW(decode("{}"), Error);
  EXPECT_THROW(decode("[]"), Error);
  EXPECT_THROW(decode(key_text() + "x"), Error);
  EXPECT_THROW(decode(replaced(key_text(), "scrypt", "argon2")), Error);
  EXPECT_THROW(decode(replaced(key_text(), R"("salt":")", R"("salt":"AAAA)")), Error);
  EXPECT_THROW(decode(replaced(key_text(), R"("data":")", R"("data":"!)")), Error);
  EXPECT_THROW(decode(replaced(key_text(), R"("data":")", R"("data":"AAAA","x":")")), Error);
}

TEST(KeyFile, NoCutOfOneDecodes) {
  const std::string text = key_text();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THROW(decode(text.substr(0, size)), Error) << size << " bytes";
  }
}

TEST(KeyFile, AFlippedBitNeverOpensAnotherKey) {
  const std::string text = key_text();
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try {
      const std::optional<SecretKey> key = open_key_file(decode(damaged), "secret");
      EXPECT_TRUE(!key || (*key)->encrypt == some_key().encrypt) << "bit " << bit;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
    }
  }
}

TEST(KeyFile, TheErrorNamesTheFile) {
  try {
    decode("{");
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("keys/ab: ")) << error.what();
  }
}

TEST(KeyFile, CalibratedCostsAreAllowed) {
  const KdfParameters kdf = calibrate_kdf();
  EXPECT_NO_THROW(check_kdf_parameters(kdf, "x"));
  EXPECT_EQ(kdf.n, 32768U);
  EXPECT_EQ(kdf.r, 8U);
}

}  // namespace
}  // namespace restic::repo
