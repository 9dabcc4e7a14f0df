// SPDX-License-Identifier: MIT
#include "tools/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace restic::tools {
namespace {

using ::testing::ElementsAre;

// Options as one text each: "name" or "name=value".
std::vector<std::string> texts(const std::vector<RawOption>& options) {
  std::vector<std::string> out;
  for (const RawOption& option : options) {
    out.push_back(option.value ? option.name + "=" + *option.value : option.name);
  }
  return out;
}

TEST(CommandLine, IsTheOneMountGivesItsHelpers) {
  const CommandLine line =
      parse_command_line({"rclone:b2:x", "/mnt", "-n", "-v", "-o", "rw,host=a", "-t", "restic"});
  EXPECT_THAT(line.positional, ElementsAre("rclone:b2:x", "/mnt"));
  EXPECT_THAT(texts(line.options), ElementsAre("rw", "host=a"));
  EXPECT_TRUE(line.verbose);
  EXPECT_FALSE(line.foreground);
}

TEST(CommandLine, TakesFlagsAnywhereAndJoined) {
  const CommandLine line = parse_command_line({"-fv", "repo", "-oro", "-so", "init", "mnt", "-N", "42"});
  EXPECT_THAT(line.positional, ElementsAre("repo", "mnt"));
  EXPECT_THAT(texts(line.options), ElementsAre("ro", "init"));
  EXPECT_TRUE(line.foreground);
  EXPECT_TRUE(line.verbose);
  EXPECT_TRUE(line.sloppy);
  EXPECT_EQ(line.name_space, "42");
}

TEST(CommandLine, KnowsTheLongForms) {
  EXPECT_TRUE(parse_command_line({"--help"}).help);
  EXPECT_TRUE(parse_command_line({"--version"}).version);
  EXPECT_TRUE(parse_command_line({"--verbose"}).verbose);
  EXPECT_TRUE(parse_command_line({"--foreground"}).foreground);
}

TEST(CommandLine, TheLastOfReadOnlyAndReadWriteIsLast) {
  EXPECT_THAT(texts(parse_command_line({"-r", "-w"}).options), ElementsAre("ro", "rw"));
}

TEST(CommandLine, TakesArgumentsThatStartWithADashBehindTwo) {
  EXPECT_THAT(parse_command_line({"-f", "--", "-repo", "-v"}).positional, ElementsAre("-repo", "-v"));
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(parse_command_line({"-x"}), Error);
  EXPECT_THROW(parse_command_line({"--frobnicate"}), Error);
  EXPECT_THROW(parse_command_line({"repo", "mnt", "-o"}), Error);
}

TEST(OptionList, SplitsAtCommas) {
  EXPECT_THAT(texts(split_option_list("ro,host=a,,path=/x=y,")), ElementsAre("ro", "host=a", "path=/x=y"));
}

TEST(OptionList, KeepsQuotedCommas) {
  EXPECT_THAT(texts(split_option_list(R"(password-command="pass show a,b",ro)")),
              ElementsAre("password-command=pass show a,b", "ro"));
  EXPECT_THAT(texts(split_option_list(R"(tag=a\,b,ro)")), ElementsAre("tag=a,b", "ro"));
}

TEST(OptionList, KeepsQuotesAndBackslashesThatAreEscaped) {
  EXPECT_THAT(texts(split_option_list(R"(password-command="sh -c \"a, b\"",path=C:\x\\y)")),
              ElementsAre(R"(password-command=sh -c "a, b")", R"(path=C:\x\y)"));
}

TEST(OptionList, RefusesAnOpenQuote) { EXPECT_THROW(split_option_list(R"(a="b,c)"), Error); }

}  // namespace
}  // namespace restic::tools
