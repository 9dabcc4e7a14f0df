// SPDX-License-Identifier: MIT
#include "repo/json_writer.h"

#include <gtest/gtest.h>

#include <string>

namespace restic::repo {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonWriter, EscapesAsGoDoes) {
  EXPECT_EQ(escaped("plain"), "\"plain\"");
  EXPECT_EQ(escaped("\"\\\n\r\t\b\f"), R"("\"\\\n\r\t\b\f")");
  EXPECT_EQ(escaped(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
  EXPECT_EQ(escaped("<a>&"), R"("\u003ca\u003e\u0026")");
  EXPECT_EQ(escaped("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\"\\u2028\\u2029\xe2\x80\xaa\"");
  EXPECT_EQ(escaped("\xc3\xa4\xf0\x9f\x98\x80"), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}

TEST(JsonWriter, EveryInvalidByteIsReplacedAlone) {
  EXPECT_EQ(escaped("a\xff\xfe"), R"("a\ufffd\ufffd")");
  EXPECT_EQ(escaped("\xe2\x82"), R"("\ufffd\ufffd")");                      // a cut tail
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");            // a surrogate
  EXPECT_EQ(escaped("\xc0\xaf"), R"("\ufffd\ufffd")");                      // overlong
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")");  // beyond Unicode
  EXPECT_EQ(escaped("\xef\xbf\xbd"), "\"\xef\xbf\xbd\"");
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  JsonWriter json;
  json.begin_object();
  json.key("a").number(18446744073709551615U);
  json.key("b").begin_array().end_array();
  json.key("c").begin_array().string("x").null().boolean(true).begin_object().end_object().end_array();
  json.key("d").base64(as_bytes("ab"));
  json.end_object();
  EXPECT_EQ(json.take(), R"({"a":18446744073709551615,"b":[],"c":["x",null,true,{}],"d":"YWI="})");
}

}  // namespace
}  // namespace restic::repo
