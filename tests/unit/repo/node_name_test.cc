// SPDX-License-Identifier: MIT
#include "repo/node_name.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "repo/json_writer.h"
#include "repo/tree.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

// The name as a tree's JSON has it, quotes included.
std::string literal_of(std::string_view name) {
  std::string quoted;
  append_quoted(quoted, name);
  std::string literal;
  append_json_string(literal, quoted);
  return literal;
}

TreePtr tree_with(const std::string& literal) {
  const std::string text = R"({"nodes":[{"name":)" + literal + R"(,"type":"file"}]})";
  return decode_tree(as_bytes(text));
}

TEST(NodeName, EveryRealNameIsQuotedAndReadAsResticDoes) {
  constexpr const char* kNewer = "json_literal_0.18.0_and_0.19.1";
  for (const Json& vector : Json::load("names")["names"].items()) {
    const Bytes raw = vector["name_hex"].hex();
    const std::string literal = vector[vector.has(kNewer) ? kNewer : "json_literal"].text();
    EXPECT_EQ(literal_of(as_text(raw)), literal);
    EXPECT_EQ(tree_with(literal)->node(0).name, as_text(raw)) << literal;
    EXPECT_EQ(tree_with(vector["json_literal"].text())->node(0).name, as_text(raw)) << literal;
  }
}

TEST(NodeName, OtherSpellingsAreRead) {
  for (const Json& vector : Json::load("names")["decode_only"].items()) {
    const Bytes raw = vector["name_hex"].hex();
    EXPECT_EQ(tree_with(vector["json_literal"].text())->node(0).name, as_text(raw));
  }
}

TEST(NodeName, WrongSpellingsAreRejected) {
  for (const Json& literal : Json::load("names")["rejected"].items()) {
    EXPECT_THROW(tree_with(literal.text()), Error) << literal.text();
  }
  for (const char* quoted : {R"(\)", R"(\x)", R"(\x1)", R"(\xg0)", R"(\400)", R"(\18)", R"(\8)", R"(\ud800)",
                             R"(\u12)", R"(\U00110000)", R"(\U0000dfff)", R"(\/)", "\"", "\n", R"(\x+1)"}) {
    std::string out;
    EXPECT_FALSE(append_unquoted(out, quoted)) << quoted;
  }
}

TEST(NodeName, EveryByteStringGoesThereAndBack) {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string name{'a', static_cast<char>(first), static_cast<char>(second), 'z'};
      std::string quoted;
      append_quoted(quoted, name);
      std::string back;
      ASSERT_TRUE(append_unquoted(back, quoted)) << quoted;
      ASSERT_EQ(back, name);
    }
  }
}

TEST(NodeName, PrintableIsUnicode15) {
  for (const char32_t printable :
       {0x20U, 0x7eU, 0xe9U, 0x378U - 1, 0xfffdU, 0x1fae8U, 0x4e00U, 0x9fffU, 0xac00U, 0x31350U}) {
    EXPECT_TRUE(is_print(printable)) << std::hex << static_cast<unsigned>(printable);
  }
  for (const char32_t hidden : {0x0U, 0x1fU, 0x7fU, 0x85U, 0xa0U, 0xadU, 0x378U, 0x2028U, 0xfeffU, 0xe000U,
                                0xffffU, 0x1fae9U, 0x2ebf0U, 0x10ffffU}) {
    EXPECT_FALSE(is_print(hidden)) << std::hex << static_cast<unsigned>(hidden);
  }
}

TEST(NodeName, SomeNamesCannotBeShown) {
  using std::string_view_literals::operator""sv;
  for (const auto name : {""sv, "."sv, ".."sv, "/"sv, "a/b"sv, "../evil"sv, "a\0b"sv}) {
    EXPECT_FALSE(is_showable_name(name)) << name;
  }
  for (const auto name : {"a"sv, "..."sv, ".a"sv, "\n"sv, "\xff"sv})
    EXPECT_TRUE(is_showable_name(name)) << name;
}

}  // namespace
}  // namespace restic::repo
