// SPDX-License-Identifier: MIT
#include "base/shell_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace restic {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ShellWords, SplitsAtWhiteSpace) {
  EXPECT_THAT(split_shell_words("  pass\tshow  backup \n"), ElementsAre("pass", "show", "backup"));
}

TEST(ShellWords, AnEmptyLineHasNoWords) {
  EXPECT_THAT(split_shell_words(""), IsEmpty());
  EXPECT_THAT(split_shell_words(" \t"), IsEmpty());
}

TEST(ShellWords, QuotesKeepSpacesAndEmptyWords) {
  EXPECT_THAT(split_shell_words(R"(a 'b c' "d e"f '' "")"), ElementsAre("a", "b c", "d ef", "", ""));
}

TEST(ShellWords, BackslashKeepsTheNextCharacterExceptInSingleQuotes) {
  EXPECT_THAT(split_shell_words(R"(a\ b 'c\d' "e\"f\\g\h")"), ElementsAre("a b", R"(c\d)", R"(e"f\g\h)"));
}

TEST(ShellWords, RefusesWhatIsNotFinished) {
  EXPECT_THROW(split_shell_words("a 'b"), Error);
  EXPECT_THROW(split_shell_words("a \"b"), Error);
  EXPECT_THROW(split_shell_words("a\\"), Error);
}

}  // namespace
}  // namespace restic
