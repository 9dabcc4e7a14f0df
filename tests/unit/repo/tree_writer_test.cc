// SPDX-License-Identifier: MIT
#include "repo/tree_writer.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

std::string rewritten(std::string_view text) {
  const TreePtr tree = decode_tree(as_bytes(text));
  const FixedZone utc;
  TreeWriter writer(utc);
  for (std::size_t i = 0; i < tree->size(); ++i) writer.add(tree->node(i));
  return writer.finish();
}

std::string with_all_replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The differences between what the Go releases behind 0.14 and 0.19 write: two escapes, and which names
// print.
std::string modernized(std::string text) {
  text = with_all_replaced(std::move(text), "\\u0008", "\\b");
  text = with_all_replaced(std::move(text), "\\u000c", "\\f");
  text = with_all_replaced(std::move(text), R"(\\U0001fae0)", "\xf0\x9f\xab\xa0");
  return with_all_replaced(std::move(text), R"(\\U0001fae8)", "\xf0\x9f\xab\xa8");
}

// A byte that was not UTF-8 was written as an escape and is read as the character U+FFFD, which is written as
// itself.
std::string without_losses(std::string text) {
  return with_all_replaced(std::move(text), "\\ufffd", "\xef\xbf\xbd");
}

TEST(TreeWriter, WritesEveryTreeBackByteForByte) {
  for (const Json& vector : Json::load("trees")["trees"].items()) {
    SCOPED_TRACE(vector["restic"].text() + " " + vector["path"].text());
    const std::string text = vector["tree"].text();
    EXPECT_EQ(Id::of(as_bytes(text)), vector["blob_id"].id());
    const bool old = vector["restic"].text() == "0.14.0";
    EXPECT_EQ(without_losses(rewritten(text)), without_losses(old ? modernized(text) : text));
  }
}

TEST(TreeWriter, AnEmptyFolderHasTheWellKnownId) {
  const FixedZone utc;
  const std::string text = TreeWriter(utc).finish();
  EXPECT_EQ(text, "{\"nodes\":[]}\n");
  EXPECT_EQ(Id::of(as_bytes(text)).hex(), "ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8");
}

TEST(TreeWriter, RefusesNamesThatDoNotAscend) {
  const FixedZone utc;
  for (const char* second : {"b", "a", ""}) {
    TreeWriter writer(utc);
    Node node;
    node.name = "b";
    writer.add(node);
    node.name = second;
    EXPECT_THROW(writer.add(node), Error) << second;
  }
}

TEST(TreeWriter, RefusesAFolderWithoutSubtree) {
  const FixedZone utc;
  TreeWriter writer(utc);
  Node node;
  node.name = "d";
  node.type = NodeType::Dir;
  EXPECT_THROW(writer.add(node), Error);
}

TEST(TreeWriter, KeepsTheBytesOfATargetThatIsNotUtf8) {
  const FixedZone utc;
  TreeWriter writer(utc);
  Node node;
  node.name = "l";
  node.type = NodeType::Symlink;
  node.link_target = "a\xff";
  writer.add(node);
  const std::string text = writer.finish();
  EXPECT_NE(text.find(R"("linktarget":"a\ufffd","linktarget_raw":"Yf8=")"), std::string::npos) << text;
  EXPECT_EQ(decode_tree(as_bytes(text))->node(0).link_target, "a\xff");
}

TEST(TreeWriter, WritesTimesInItsZone) {
  const FixedZone zone(-5400);
  TreeWriter writer(zone);
  Node node;
  node.name = "f";
  node.mtime = node.atime = {0, 0};
  node.ctime = {1, 100};
  writer.add(node);
  EXPECT_NE(writer.finish().find(R"("mtime":"1969-12-31T22:30:00-01:30","atime":"1969-12-31T22:30:00-01:30",)"
                                 R"("ctime":"1969-12-31T22:30:01.0000001-01:30")"),
            std::string::npos);
}

}  // namespace
}  // namespace restic::repo
