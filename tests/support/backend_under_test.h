// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transport/backend.h"

namespace restic::test {

// An empty repository in one kind of storage, gone with the object.
class BackendUnderTest {
 public:
  virtual ~BackendUnderTest() = default;
  virtual transport::Backend& backend() = 0;
  // Puts a file of a few bytes and any name into a type's folder, behind the backend's back.
  virtual void plant_foreign_file(transport::FileType type, const std::string& name) = 0;
};

struct BackendMaker {
  std::string name;  // letters only
  std::function<std::unique_ptr<BackendUnderTest>()> make;
};

// Every backend there is: in memory, in a local folder, through rclone to a local folder.
std::vector<BackendMaker> all_backends();

}  // namespace restic::test
