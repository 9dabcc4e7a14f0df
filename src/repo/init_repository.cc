// SPDX-License-Identifier: MIT
#include "repo/init_repository.h"

#include <memory>
#include <optional>

#include "repo/crypto.h"
#include "repo/sealed_file.h"
#include "repo/timestamp.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::FileName;
using transport::FileType;

bool has_config(transport::Backend& backend) {
  try {
    transport::load(backend, {FileType::Config, {}}, kMaxSealedFile);
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::NotFound) return false;
    if (error.code() == Errc::Damaged) return true;
    throw;
  }
}

void refuse_if_used(transport::Backend& backend) {
  if (has_config(backend)) throw Error(Errc::Usage, "there is a repository already: it has a config");
  for (const FileType type : {FileType::Key, FileType::Snapshot}) {
    const auto files = transport::list(backend, type);
    if (files.empty()) continue;
    throw Error(Errc::Usage, "there is no config, but " + FileName{type, files.front().name}.path() +
                                 " exists: not a place for a new repository");
  }
}

void save(transport::Backend& backend, const FileName& file, Bytes content) {
  transport::save(backend, file, std::make_shared<const Bytes>(std::move(content)));
}

}  // namespace

Config init_repository(transport::Backend& backend, std::string_view password, const KeyCreator& creator,
                       const KdfParameters& kdf) {
  if (password.empty()) throw Error(Errc::Usage, "a new repository needs a password that is not empty");
  refuse_if_used(backend);
  transport::await<Unit>([&](transport::StatusDone done) { backend.create(std::move(done)); });

  const SecretKey master = new_master_key();
  const std::string created = format_time(current_time(), LocalZone());
  const std::string key_json =
      encode_key_file(make_key_file(*master, password, kdf, created, creator.username, creator.hostname));
  const ByteView key_bytes = as_bytes(key_json);
  save(backend, {FileType::Key, Id::of(key_bytes).hex()}, Bytes(key_bytes.begin(), key_bytes.end()));

  const Config config = new_config();
  save(backend, {FileType::Config, {}},
       seal_file(Crypto(*master), config.version, FileType::Config, encode_config(config)));
  return config;
}

}  // namespace restic::repo
