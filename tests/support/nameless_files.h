// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace restic::test {

// Files of this process that are in a folder but have no name there, each as a path to open it by.
inline std::vector<std::string> nameless_files_below(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!gone && target.starts_with(folder.string() + "/#")) found.push_back(entry.path().string());
  }
  return found;
}

}  // namespace restic::test
