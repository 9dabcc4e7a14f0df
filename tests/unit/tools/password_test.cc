// SPDX-License-Identifier: MIT
#include "tools/password.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"

namespace restic::tools {
namespace {

namespace files = std::filesystem;
using ::testing::HasSubstr;

// A person who gives these answers, in order.
class ScriptedStartup : public Startup {
 public:
  std::vector<std::optional<std::string>> answers;
  std::optional<std::string> ask_password(int attempt) override {
    const auto at = static_cast<std::size_t>(attempt - 1);
    return at < answers.size() ? answers[at] : std::nullopt;
  }
  void show_progress(std::size_t, std::size_t) override {}
  void ready() override {}
};

class Password : public ::testing::Test {
 protected:
  Password() {
    std::string name = (files::temp_directory_path() / "password-test.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Password() override { files::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  std::optional<std::string> find() const {
    return find_password(options_, [this](const std::string& name) -> std::optional<std::string> {
      const auto at = environment_.find(name);
      if (at == environment_.end()) return std::nullopt;
      return at->second;
    });
  }
  std::string complaint() const {
    try {
      find();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  files::path folder_;
  PasswordOptions options_;
  std::map<std::string, std::string> environment_;
};

TEST_F(Password, ComesFromTheFirstPlaceThatIsNamed) {
  EXPECT_EQ(find(), std::nullopt);
  file("restic-password", "from systemd\n");
  environment_["CREDENTIALS_DIRECTORY"] = folder_.string();
  EXPECT_EQ(find(), "from systemd");
  environment_["RESTIC_PASSWORD"] = " verbatim ";
  EXPECT_EQ(find(), " verbatim ");
  environment_["RESTIC_PASSWORD_COMMAND"] = "echo from the command";
  EXPECT_EQ(find(), "from the command");
  environment_["RESTIC_PASSWORD_FILE"] = file("a", "from the file\n");
  EXPECT_EQ(find(), "from the file");
  options_.command = "printf '%s' 'from the option'";
  EXPECT_EQ(find(), "from the option");
  options_.file = file("b", "from the option's file\n");
  EXPECT_EQ(find(), "from the option's file");
}

TEST_F(Password, AFileThatCannotBeReadIsNamed) {
  options_.file = (folder_ / "missing").string();
  EXPECT_THAT(complaint(), HasSubstr("password-file: cannot read " + options_.file + ": No such file"));
}

TEST_F(Password, ACommandThatFailsIsNamed) {
  options_.command = "false";
  EXPECT_THAT(complaint(), HasSubstr("password-command: false ended with exit code 1"));
  options_.command = "sh -c 'kill -9 $$'";
  EXPECT_THAT(complaint(), HasSubstr("was killed by signal 9"));
  options_.command = "/no/such/program";
  EXPECT_THAT(complaint(), HasSubstr("cannot run /no/such/program"));
  options_.command = "echo 'open";
  EXPECT_THAT(complaint(), HasSubstr("not closed"));
}

TEST_F(Password, IsNeverEmpty) {
  options_.command = "true";
  EXPECT_THAT(complaint(), HasSubstr("gives an empty password"));
}

TEST_F(Password, ThatWasFoundIsTriedOnce) {
  ScriptedStartup startup;
  startup.answers = {"typed"};
  const repo::PasswordSource source = password_source("found", startup);
  EXPECT_EQ(source(1), "found");
  EXPECT_EQ(source(2), std::nullopt);
}

TEST_F(Password, IsAskedForThreeTimesOnATerminal) {
  ScriptedStartup startup;
  startup.answers = {"one", "two", "three", "four"};
  const repo::PasswordSource source = password_source(std::nullopt, startup);
  EXPECT_EQ(source(1), "one");
  EXPECT_EQ(source(2), "two");
  EXPECT_EQ(source(3), "three");
  EXPECT_EQ(source(4), std::nullopt);
}

TEST_F(Password, WithoutAnybodyToAskTheWaysToGiveOneAreShown) {
  ScriptedStartup startup;
  try {
    password_source(std::nullopt, startup)(1);
    FAIL() << "a password out of nowhere";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::WrongPassword);
    EXPECT_THAT(error.what(), HasSubstr("password-file"));
  }
}

}  // namespace
}  // namespace restic::tools
