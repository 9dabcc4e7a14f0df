// SPDX-License-Identifier: MIT
#include "tools/option_names.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace restic::tools {
namespace {

constexpr auto kAccepted = std::to_array<std::string_view>(
    {"async",     "atime",      "auto",        "noauto",     "defaults",    "comment",       "context",
     "fscontext", "defcontext", "rootcontext", "seclabel",   "group",       "nogroup",       "helper",
     "uhelper",   "iversion",   "noiversion",  "lazytime",   "nolazytime",  "loud",          "silent",
     "mand",      "nomand",     "_netdev",     "_rnetdev",   "nofail",      "nouser",        "nousers",
     "owner",     "noowner",    "relatime",    "norelatime", "strictatime", "nostrictatime", "sync",
     "dirsync",   "symfollow",  "nosymfollow", "user",       "users",       "nodiratime",    "diratime",
     "fsname",    "subtype"});

constexpr auto kKernel =
    std::to_array<std::string_view>({"exec", "noexec", "dev", "nodev", "suid", "nosuid", "noatime"});

constexpr auto kImpossible =
    std::to_array<std::string_view>({"remount", "bind", "rbind", "move", "private", "rprivate", "shared",
                                     "rshared", "slave", "rslave", "unbindable", "runbindable"});

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Levenshtein's distance, one row at a time.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

Generic classify_generic(std::string_view name) {
  if (contains(kKernel, name)) return Generic::Kernel;
  if (contains(kImpossible, name)) return Generic::Impossible;
  const bool for_others = name.starts_with("x-") || name.starts_with("X-");
  return for_others || contains(kAccepted, name) ? Generic::Accepted : Generic::Unknown;
}

std::string nearest_name(std::string_view name, const std::vector<std::string_view>& known) {
  constexpr std::size_t kLongestName = 64;
  if (name.size() > kLongestName) return {};
  std::string_view nearest;
  std::size_t fewest = name.size() / 3 + 1;  // more than a third wrong is another word
  for (const std::string_view candidate : known) {
    const std::size_t edits = edits_between(name, candidate);
    if (edits <= fewest && (nearest.empty() || edits < fewest)) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

}  // namespace restic::tools
