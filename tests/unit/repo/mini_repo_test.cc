// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>

#include "repo/config_file.h"
#include "repo/key_file.h"
#include "repo/sealed_file.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::MiniRepo;
using transport::FileName;
using transport::FileType;

Crypto open_crypto(const MiniRepo& repo) {
  const std::string path = "keys/" + repo.facts["key_file"].text();
  const std::optional<SecretKey> key = open_key_file(decode_key_file(repo.file(path), path), repo.password);
  return Crypto(*key.value());
}

TEST(MiniRepo, PasswordOpensTheKeyFile) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const std::string path = "keys/" + repo.facts["key_file"].text();
    const KeyFile key_file = decode_key_file(repo.file(path), path);
    const std::optional<SecretKey> key = open_key_file(key_file, repo.password);
    ASSERT_TRUE(key) << repo.written_by;
    const test::Json expected = repo.facts["master_key"];
    EXPECT_TRUE(std::ranges::equal((*key)->encrypt, expected["encrypt"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_k, expected["mac"]["k"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_r, expected["mac"]["r"].base64()));
    EXPECT_FALSE(open_key_file(key_file, repo.password + " "));
  }
}

TEST(MiniRepo, ConfigSnapshotAndIndexesOpen) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const Crypto crypto = open_crypto(repo);
    const auto open = [&](FileType type, const std::string& name) {
      const FileName file{type, name};
      return open_sealed_file(crypto, repo.format_version, file, repo.file(file.path()));
    };
    EXPECT_EQ(as_text(open(FileType::Config, "")), repo.facts["config_plaintext"].text());
    EXPECT_EQ(as_text(open(FileType::Snapshot, repo.facts["snapshot_id"].text())),
              repo.facts["snapshot_plaintext"].text());
    for (const test::Json& index : repo.facts["indexes"].items()) {
      EXPECT_EQ(as_text(open(FileType::Index, index["id"].text())), index["plaintext"].text());
    }
  }
}

TEST(MiniRepo, ConfigIsReadAndWrittenAlike) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const std::string plain = repo.facts["config_plaintext"].text();
    const Config config = decode_config(as_bytes(plain));
    EXPECT_EQ(config.version, repo.format_version);
    EXPECT_EQ(encode_config(config), plain);
  }
}

}  // namespace
}  // namespace restic::repo
