// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/unique_fd.h"
#include "support/temporary_folder.h"

namespace restic::test {

// A folder to archive, on disk for the time of a scope.
class SampleFolder {
 public:
  const std::filesystem::path& path() const { return folder_.path(); }
  UniqueFd open() const;
  UniqueFd open(const std::string& file) const;

  // Folders on the way are made. Equal seeds give equal bytes, which do not compress.
  void file(const std::string& path, const std::string& content) const;
  void noise(const std::string& path, std::size_t size, std::uint64_t seed) const;

  // A bit of everything: nested folders, empty ones, files of no, one and several chunks, equal files, links
  // of both kinds, a fifo. About 5 MB.
  void fill() const;

 private:
  TemporaryFolder folder_;
};

}  // namespace restic::test
