// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace restic::test {

// The real restic (RESTIC names another binary), on one local repository, without its cache.
class ResticTool {
 public:
  struct Outcome {
    int code;            // what it exited with; -1 when a signal ended it
    std::string output;  // of both streams
  };

  ResticTool(std::filesystem::path repository, std::string password);

  // Runs it to its end, in `folder` if one is given.
  Outcome run(const std::vector<std::string>& arguments, const std::filesystem::path& folder = {}) const;

 private:
  const std::filesystem::path repository_;
  const std::string password_;
};

// Runs a program found in PATH to its end; both streams become the output.
ResticTool::Outcome run_program(const std::vector<std::string>& command,
                                const std::vector<std::string>& extra_environment = {},
                                const std::filesystem::path& folder = {});

}  // namespace restic::test
