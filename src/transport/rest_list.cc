// SPDX-License-Identifier: MIT
#include "transport/rest_list.h"

#include <simdjson.h>

#include <string>

#include "transport/file_names.h"

namespace restic::transport {

std::vector<FileInfo> parse_rest_list(Bytes json) {
  const std::size_t size = json.size();
  json.resize(size + simdjson::SIMDJSON_PADDING);
  std::vector<FileInfo> files;
  try {
    simdjson::dom::parser parser;
    constexpr bool kCopyToPad = false;  // the padding is there
    const simdjson::dom::array entries = parser.parse(json.data(), size, kCopyToPad);
    files.reserve(entries.size());
    for (const simdjson::dom::element entry : entries) {
      const std::string_view name = entry["name"];
      if (!is_storage_name(name)) continue;  // whatever else it says: rclone knows files of no size, -1
      const std::uint64_t bytes = entry["size"];
      files.push_back({std::string(name), bytes});
    }
  } catch (const simdjson::simdjson_error& error) {
    throw Error(Errc::Damaged, std::string("the list of files is not what it should be: ") + error.what());
  }
  return files;
}

}  // namespace restic::transport
