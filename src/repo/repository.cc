// SPDX-License-Identifier: MIT
#include "repo/repository.h"

#include <optional>
#include <string>
#include <utility>

#include "repo/head_start.h"
#include "repo/key_ring.h"
#include "repo/sealed_file.h"
#include "repo/stored_repository.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

constexpr int kPasswordAttempts = 3;

const transport::FileName& the_config() {
  static const transport::FileName kFile{transport::FileType::Config, ""};
  return kFile;
}

SecretKey unlock(const KeyRing& keys, const PasswordSource& source) {
  for (int attempt = 1; attempt <= kPasswordAttempts; ++attempt) {
    std::optional<std::string> password = source(attempt);
    if (!password) break;
    std::optional<SecretKey> key = keys.open(*password);
    wipe(std::span(*password));
    if (key) return std::move(*key);
  }
  throw Error(Errc::WrongPassword, "wrong password, or no key file of the repository fits it");
}

transport::Answer<Bytes> ask_for_config(transport::Backend& backend) {
  transport::Answer<Bytes> config;
  backend.load(the_config(), kMaxSmallSealedFile, transport::Urgency::Demand, config.done());
  return config;
}

Bytes wait_for_config(transport::Answer<Bytes> config) {
  try {
    return config.wait();
  } catch (const Error& error) {
    if (error.code() != Errc::NotFound) throw;
    throw Error(
        Errc::NotFound,
        "no restic repository is there: config is missing; look at the path, or make one with -o init");
  }
}

// Loads a damaged one once more: the line may be to blame.
Config open_config(transport::Backend& backend, const Crypto& crypto, Bytes sealed) {
  try {
    return decode_config(open_sealed_file(crypto, 2, the_config(), std::move(sealed)));
  } catch (const Error& error) {
    if (error.code() != Errc::Damaged) throw;
  }
  return decode_config(open_sealed_file(crypto, 2, the_config(), wait_for_config(ask_for_config(backend))));
}

}  // namespace

std::unique_ptr<Repository> Repository::open(transport::Backend& backend, const PasswordSource& password,
                                             const RepositoryOptions& options, CpuPool& pool, Log& log) {
  HeadStart head_start(backend, pool);
  const transport::Answer<Bytes> config_arrives = ask_for_config(head_start);
  std::optional<KeyRing> keys;
  std::optional<Error> keys_missing;
  try {
    keys.emplace(backend, options.key_hint, log);
  } catch (const Error& error) {
    if (error.code() != Errc::NotFound) throw;
    keys_missing = error;
  }
  Bytes sealed_config = wait_for_config(config_arrives);  // when both are missing, this says it best
  if (keys_missing) throw Error(*keys_missing);

  auto crypto = std::make_unique<Crypto>(*unlock(*keys, password));
  const Config config = open_config(backend, *crypto, std::move(sealed_config));
  return std::make_unique<StoredRepository>(StoredRepository::Room{backend, pool, log}, std::move(crypto),
                                            config, options, head_start);
}

}  // namespace restic::repo
