// SPDX-License-Identifier: MIT
#include "tools/mount_table.h"

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/error.h"

namespace restic::tools {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

// Spaces, tabs, newlines and backslashes stand there as three octal digits.
std::string unescaped(std::string_view word) {
  std::string text;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] == '\\' && at + 3 < word.size()) {
      text += static_cast<char>(std::strtol(std::string(word.substr(at + 1, 3)).c_str(), nullptr, 8));
      at += 3;
    } else {
      text += word[at];
    }
  }
  return text;
}

// The parent is resolved, the last part is not looked at: it may not answer.
std::string absolute(const std::string& path) {
  namespace stdfs = std::filesystem;
  stdfs::path full = stdfs::absolute(path).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();
  std::error_code problem;
  const stdfs::path parent = stdfs::weakly_canonical(full.parent_path(), problem);
  return problem ? full.string() : (parent / full.filename()).string();
}

}  // namespace

bool is_our_mount(std::string_view line, std::string_view mountpoint) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.size() < 10 || unescaped(words[4]) != mountpoint) return false;
  // A varying number of fields comes before the dash that the type follows.
  for (std::size_t at = 6; at + 1 < words.size(); ++at) {
    if (words[at] == "-") return words[at + 1] == "fuse.restic";
  }
  return false;
}

std::string find_mount(const std::string& path) {
  std::vector<std::string> candidates = {absolute(path)};
  std::error_code problem;
  const std::filesystem::path target = std::filesystem::canonical(path, problem);  // through a symbolic link
  if (!problem) candidates.push_back(target.string());
  for (const std::string& candidate : candidates) {
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
      if (is_our_mount(line, candidate)) return candidate;
    }
  }
  throw Error(Errc::Usage, "no restic repository is mounted on " + path);
}

}  // namespace restic::tools
