// SPDX-License-Identifier: MIT
#include "transport/file_names.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace restic::transport {

bool is_storage_name(std::string_view name) {
  return name.size() == 64 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<Error> name_problem(const FileName& file) {
  const bool good = file.type == FileType::Config ? file.name.empty() : is_storage_name(file.name);
  if (good) return std::nullopt;
  return Error(Errc::Usage, "not a name of a repository file: " + file.path());
}

std::optional<Error> range_problem(const FileName& file, ByteRange range) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (range.length != 0 && range.offset <= kMax && range.length <= kMax - range.offset) return std::nullopt;
  return Error(Errc::Usage, "not a range of bytes: " + std::to_string(range.length) + " at " +
                                std::to_string(range.offset) + " of " + file.path());
}

}  // namespace restic::transport
