// SPDX-License-Identifier: MIT
#include "support/backend_under_test.h"

#include <filesystem>
#include <fstream>

#include "support/fake_backend.h"
#include "support/temporary_folder.h"
#include "transport/local_backend.h"
#include "transport/rclone_backend.h"

namespace restic::test {
namespace {

using transport::Backend;
using transport::FileType;

class FakeUnderTest : public BackendUnderTest {
 public:
  Backend& backend() override { return backend_; }
  void plant_foreign_file(FileType type, const std::string& name) override {
    backend_.put({type, name}, Bytes(3));
  }

 private:
  FakeBackend backend_;
};

// Whatever keeps its repository in a local folder.
class FolderUnderTest : public BackendUnderTest {
 public:
  explicit FolderUnderTest(const std::function<std::unique_ptr<Backend>(const std::string&)>& open)
      : backend_(open(folder_.path().string())) {}
  Backend& backend() override { return *backend_; }
  void plant_foreign_file(FileType type, const std::string& name) override {
    std::ofstream(folder_.path() / transport::folder_of(type) / name) << "foreign";
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_;
};

std::unique_ptr<Backend> open_local(const std::string& folder) {
  return std::make_unique<transport::LocalBackend>(folder, 0);
}

std::unique_ptr<Backend> open_rclone(const std::string& folder) {
  static Log log(Log::Sink::Nothing);
  return std::make_unique<transport::RcloneBackend>(
      transport::RcloneCommand{"rclone", {"serve", "restic", "--stdio", "--b2-hard-delete"}},
      ":local:" + folder, transport::RcloneLimits{}, transport::RestLimits{}, log);
}

}  // namespace

std::vector<BackendMaker> all_backends() {
  return {
      {"Fake", [] { return std::make_unique<FakeUnderTest>(); }},
      {"Local", [] { return std::make_unique<FolderUnderTest>(open_local); }},
      {"Rclone", [] { return std::make_unique<FolderUnderTest>(open_rclone); }},
  };
}

}  // namespace restic::test
