// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "repo/cpu_pool.h"
#include "repo/repository.h"
#include "support/fake_backend.h"

namespace restic::test {

// An empty repository of format 2 that init_repository() made in memory, opened.
class MadeRepository {
 public:
  static constexpr const char* kPassword = "a password";

  MadeRepository();

  FakeBackend& backend() { return backend_; }
  repo::Repository& repository() { return *repository_; }
  Log& log() { return log_; }

  // A second view of what is stored now, as another process has it.
  std::unique_ptr<repo::Repository> open_again();

  // What must hold at any time, whatever was interrupted: every pack that an index file names is there,
  // whole, and opens; everything a snapshot refers to can be read. Returns how many snapshots there are;
  // throws Error for a violation.
  std::size_t check_consistency();

  // Writes all files into a folder, in restic's local layout.
  void write_to(const std::filesystem::path& folder) const;

 private:
  FakeBackend backend_;
  Log log_{Log::Sink::Nothing};
  repo::CpuPool pool_{2};
  std::unique_ptr<repo::Repository> repository_;
};

}  // namespace restic::test
