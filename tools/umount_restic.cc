// SPDX-License-Identifier: MIT
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "tools/help.h"
#include "tools/startup.h"
#include "tools/umount_options.h"
#include "tools/unmount.h"

namespace restic::tools {
namespace {

ExitCode fail(ExitCode code, const std::string& reason) {
  std::cerr << "umount.restic: " << reason << '\n';
  return code;
}

ExitCode run(const std::vector<std::string>& args) {
  UmountOptions options;
  try {
    options = read_umount_options(args);
  } catch (const Error& error) {
    return fail(ExitCode::Usage, error.what());
  }
  if (options.help || options.version) {
    std::cout << (options.help ? umount_help_text() : "u" + version_text());
    return ExitCode::Ok;
  }
  try {
    unmount(options);
  } catch (const Error& error) {
    return fail(error.code() == Errc::Usage ? ExitCode::Usage : ExitCode::MountFailed, error.what());
  }
  return ExitCode::Ok;
}

}  // namespace
}  // namespace restic::tools

int main(int argc, char** argv) {
  try {
    return static_cast<int>(restic::tools::run({argv + 1, argv + argc}));
  } catch (const std::exception& failure) {
    std::cerr << "umount.restic: " << failure.what() << '\n';
    return static_cast<int>(restic::tools::ExitCode::System);
  }
}
