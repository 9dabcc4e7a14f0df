// SPDX-License-Identifier: MIT
#include "tools/text_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace restic::tools {
namespace {

using namespace std::string_literals;

Errc code_of_reading(const std::string& path) {
  try {
    read_text_file(path);
  } catch (const Error& error) {
    return error.code();
  }
  return Errc::Cancelled;
}

TEST(CleanText, CutsWhiteSpaceAtBothEndsOnly) {
  EXPECT_EQ(clean_text(" \t geheim wort\r\n"), "geheim wort");
  EXPECT_EQ(clean_text("\xc2\xa0x\xe3\x80\x80\xe2\x80\xa8"), "x");
  EXPECT_EQ(clean_text(" \n"), "");
}

TEST(CleanText, DropsTheByteOrderMark) { EXPECT_EQ(clean_text("\xef\xbb\xbfpass\n"), "pass"); }

TEST(CleanText, ReadsUtf16OfBothOrders) {
  EXPECT_EQ(clean_text("\xff\xfep\0\xe4\0\n\0"s), "p\xc3\xa4");
  EXPECT_EQ(clean_text("\xfe\xff\0p\0\xe4\x20\xac"s), "p\xc3\xa4\xe2\x82\xac");
  EXPECT_EQ(clean_text("\xff\xfe\x3d\xd8\x00\xde"s), "\xf0\x9f\x98\x80");
}

TEST(CleanText, MarksBrokenUtf16) {
  EXPECT_EQ(clean_text("\xff\xfe\x3d\xd8"s), "\xef\xbf\xbd");
  EXPECT_EQ(clean_text("\xff\xfe"
                       "a\0b"s),
            "a\xef\xbf\xbd");
}

TEST(ReadTextFile, SaysWhyItCannot) {
  const std::string folder = std::filesystem::temp_directory_path();
  EXPECT_EQ(code_of_reading(folder + "/no such file here"), Errc::NotFound);
  EXPECT_EQ(code_of_reading(folder), Errc::Usage);
  EXPECT_EQ(code_of_reading("/dev/zero"), Errc::Usage);
}

}  // namespace
}  // namespace restic::tools
