// SPDX-License-Identifier: MIT
#include "transport/backend.h"

namespace restic::transport {

const char* folder_of(FileType type) {
  switch (type) {
    case FileType::Config:
      return "config";
    case FileType::Key:
      return "keys";
    case FileType::Lock:
      return "locks";
    case FileType::Snapshot:
      return "snapshots";
    case FileType::Index:
      return "index";
    case FileType::Pack:
      break;
  }
  return "data";
}

std::string FileName::path() const {
  return type == FileType::Config ? std::string("config") : std::string(folder_of(type)) + "/" + name;
}

}  // namespace restic::transport
