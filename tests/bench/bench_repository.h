// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "repo/config_file.h"
#include "repo/crypto.h"
#include "repo/key_ring.h"
#include "repo/sealed_file.h"
#include "transport/blocking.h"
#include "transport/open_backend.h"

namespace restic::bench {

// A repository as far as it takes to read and write its index files. The password is RESTIC_PASSWORD's.
struct BenchRepository {
  std::unique_ptr<transport::Backend> backend;
  std::unique_ptr<repo::Crypto> crypto;
  repo::Config config;

  static BenchRepository open(const std::string& location, Log& log) {
    const char* password = std::getenv("RESTIC_PASSWORD");  // NOLINT(concurrency-mt-unsafe): one thread yet
    if (password == nullptr) throw Error(Errc::Usage, "RESTIC_PASSWORD is not set");
    BenchRepository opened;
    opened.backend = transport::open_backend(transport::parse_location(location), {}, log);
    const repo::KeyRing keys(*opened.backend, "", log);
    const std::optional<repo::SecretKey> key = keys.open(password);
    if (!key) throw Error(Errc::WrongPassword, "RESTIC_PASSWORD opens no key file");
    opened.crypto = std::make_unique<repo::Crypto>(**key);
    const transport::FileName config{transport::FileType::Config, ""};
    opened.config = repo::decode_config(repo::open_sealed_file(
        *opened.crypto, 2, config, transport::load(*opened.backend, config, repo::kMaxSealedFile)));
    return opened;
  }
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace restic::bench
