// SPDX-License-Identifier: MIT
#include "repo/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "repo/tree_builder.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

std::vector<std::string> names_of(const Tree& tree) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < tree.size(); ++i) names.emplace_back(tree.node(i).name);
  return names;
}

TreePtr decode_json_tree(std::string_view text) { return decode_tree(as_bytes(text)); }

// A tree of one node with these members.
TreePtr decode_node(const std::string& members) {
  return decode_json_tree(R"({"nodes":[{)" + members + "}]}\n");
}

// What decoding a tree must come to.
struct Outcome {
  bool decodes;
  std::vector<std::string> names;  // shown
  std::size_t left_out = 0;
};
const Outcome kDamaged{false, {}};
Outcome shows(std::vector<std::string> names, std::size_t left_out = 0) {
  return {true, std::move(names), left_out};
}

const std::map<std::string, Outcome>& hostile_outcomes() {
  static const std::map<std::string, Outcome> kOutcomes{
      // Names that would lead out of the folder are not shown.
      {"dotdot name", shows({"ok"}, 1)},
      {"slash name", shows({"ok"}, 1)},
      {"abs", shows({"ok"}, 1)},
      {"\"..\"", shows({"ok"}, 1)},
      {"\".\"", shows({"ok"}, 1)},
      {"\". dir\"", shows({"ok"}, 1)},
      {"empty name", shows({"ok"}, 1)},
      {"NUL", shows({"ok"}, 1)},
      {"dup file", shows({"x", "y"})},
      {"unsorted", shows({"a", "b"})},
      // Names that are not quoted as they should be spoil the tree, as in restic.
      {"bad quote \"", kDamaged},
      {"bad esc \\q", kDamaged},
      {"raw newline", kDamaged},
      {"esc \\'", kDamaged},
      {"octal \\101", shows({"A"})},
      {"raw ctl 0x01", shows({"a\x01"
                              "b"})},
      {"lone surrogate json", shows({"a\xef\xbf\xbd"
                                     "b"})},
      // What cannot be entered or read is shown; only entering or reading it fails.
      {"dir no subtree", shows({"d"})},
      {"dir zero subtree", shows({"d"})},
      {"dir subtree=data id", shows({"d"})},
      {"dir subtree missing", shows({"d"})},
      {"symlink no target", shows({"l"})},
      {"unknown type", shows({"w", "x"})},
      {"irregular", shows({"i", "x"})},
      {"type missing", shows({"i", "x"})},
      {"content null", shows({"f"})},
      {"content zero id", shows({"f"})},
      {"content missing blob", shows({"f"})},
      {"content bad hex len", kDamaged},
      {"size too small", shows({"f"})},
      {"size too big", shows({"f"})},
      {"size -1", kDamaged},
      {"size 2^64", kDamaged},
      {"size 2^63", shows({"f"})},
      {"size 1e1", kDamaged},
      {"mode 2^32", kDamaged},
      {"mode dir on file", shows({"f"})},
      {"mtime bad", kDamaged},
      {"mtime missing", shows({"f"})},
      {"mtime null", shows({"f"})},
      {"uid 2^32", kDamaged},
      {"unknown fields", shows({"f"})},
      {"xattr null val", shows({"f"})},
      {"xattr bad b64", kDamaged},
      {"key case Name/TYPE", shows({"f"})},
      {"dup key name", shows({"g"})},
      // The strict form of restic 0.19, and nothing after it, which all before 0.19 demand.
      {"nodes null", kDamaged},
      {"empty obj", kDamaged},
      {"json null", kDamaged},
      {"array", kDamaged},
      {"Nodes caps", kDamaged},
      {"trailing garbage", kDamaged},
      {"trailing obj", kDamaged},
      {"null node", kDamaged},
      {"truncated", kDamaged},
      {"empty blob?", kDamaged},
      {"no newline", shows({"f"})},
      {"extra key before", shows({"f"})},
      {"extra key after", shows({"f"})},
      {"nodes twice", shows({"f"})},
      {"symlink+dir same name", shows({"a"})},
      {"dir+symlink same name", shows({"a"})},
      // Whether two files are one inode is for the file system to decide, by their content too.
      {"hardlink confusion", shows({"f1", "f2"})},
  };
  return kOutcomes;
}

TEST(Tree, HostileTreesDecodeOrFailAsDecided) {
  std::size_t tested = 0;
  for (const Json& hostile : Json::load("hostile_trees")["cases"].items()) {
    const std::string name = hostile["name"].text();
    SCOPED_TRACE(name);
    const auto expected = hostile_outcomes().find(name);
    ASSERT_NE(expected, hostile_outcomes().end());
    const std::string text = hostile["tree"].text();
    std::size_t left_out = 0;
    if (!expected->second.decodes) {
      EXPECT_THROW(decode_tree(as_bytes(text), &left_out), Error);
    } else {
      const TreePtr tree = decode_tree(as_bytes(text), &left_out);
      EXPECT_EQ(names_of(*tree), expected->second.names);
      EXPECT_EQ(left_out, expected->second.left_out);
    }
    ++tested;
  }
  EXPECT_EQ(tested, hostile_outcomes().size());
}

TEST(Tree, MemberByMember) {
  const TreePtr tree = decode_node(
      R"("name":"f","type":"file","mode":8389101,"mtime":"2020-01-02T03:04:05.000000006+01:00",)"
      R"("atime":"1969-12-31T23:59:59.5Z","ctime":"2020-01-01T00:00:00Z","uid":4294967295,"gid":2,"user":"u\u00e4",)"
      R"("group":"g","inode":18446744073709551615,"device_id":65024,"size":12,"links":3,"content":[")" +
      std::string(64, 'a') + R"(","00)" + std::string(62, 'b') +
      R"("],"extended_attributes":[{"name":"user.a","value":"AAH/"},{"name":"","value":"AA=="}])");
  ASSERT_EQ(tree->size(), 1U);
  const Node node = tree->node(0);
  EXPECT_EQ(node.type, NodeType::File);
  EXPECT_EQ(node.mode, 04755U);
  EXPECT_EQ(node.mtime, (Timestamp{1577930645, 6}));
  EXPECT_EQ(node.atime, (Timestamp{-1, 500'000'000}));
  EXPECT_EQ(node.ctime, (Timestamp{1577836800, 0}));
  EXPECT_EQ(node.uid, 4294967295U);
  EXPECT_EQ(node.gid, 2U);
  EXPECT_EQ(node.user, "u\xc3\xa4");
  EXPECT_EQ(node.group, "g");
  EXPECT_EQ(node.inode, 18446744073709551615U);
  EXPECT_EQ(node.device_id, 65024U);
  EXPECT_EQ(node.size, 12U);
  EXPECT_EQ(node.links, 3U);
  ASSERT_EQ(node.content.size(), 2U);
  EXPECT_EQ(node.content[0].hex(), std::string(64, 'a'));
  EXPECT_EQ(node.content[1].hex(), "00" + std::string(62, 'b'));
  ASSERT_EQ(node.xattrs.size(), 1U);
  EXPECT_EQ(node.xattrs[0].name, "user.a");
  EXPECT_EQ(node.xattrs[0].value, std::string_view("\0\1\xff", 3));
}

TEST(Tree, ATargetThatIsNotUtf8ComesFromItsRawMember) {
  for (const char* members :
       {R"("name":"l","type":"symlink","linktarget":"a\ufffd","linktarget_raw":"Yf8=")",
        R"("name":"l","type":"symlink","linktarget_raw":"Yf8=","linktarget":"a\ufffd")"}) {
    EXPECT_EQ(decode_node(members)->node(0).link_target, "a\xff");
  }
}

TEST(Tree, SubtreesOfZeroOrNoneCannotBeEntered) {
  EXPECT_FALSE(decode_node(R"("name":"d","type":"dir")")->node(0).subtree);
  EXPECT_FALSE(
      decode_node(R"("name":"d","type":"dir","subtree":")" + std::string(64, '0') + '"')->node(0).subtree);
  EXPECT_TRUE(
      decode_node(R"("name":"d","type":"dir","subtree":")" + std::string(64, '1') + '"')->node(0).subtree);
}

TEST(Tree, TheTypeDecidesWhateverTheModeSays) {
  const Node node = decode_node(R"("name":"f","type":"file","mode":2147484141)")->node(0);
  EXPECT_EQ(node.type, NodeType::File);
  EXPECT_EQ(node.mode, 0755U);
}

TEST(Tree, TimesThatAreNotRecordedAreTheZeroTime) {
  EXPECT_EQ(decode_node(R"("name":"f","type":"file","mtime":null)")->node(0).mtime, kNoTime);
}

TEST(Tree, FindsEveryNameAndNoOther) {
  const TreePtr tree = decode_json_tree(R"({"nodes":[{"name":"b","type":"file"},{"name":"a","type":"dir"},)"
                                        R"({"name":"\\xff","type":"file"},{"name":"ab","type":"file"}]})");
  EXPECT_EQ(names_of(*tree), (std::vector<std::string>{"a", "ab", "b", "\xff"}));
  for (std::size_t i = 0; i < tree->size(); ++i) EXPECT_EQ(tree->find(tree->node(i).name), i);
  for (const char* absent : {"", "0", "aa", "abc", "c", "\xff\xff"})
    EXPECT_FALSE(tree->find(absent)) << absent;
  EXPECT_EQ(tree->dir_count(), 1U);
}

TEST(Tree, OfEqualNamesTheFirstStays) {
  const TreePtr tree =
      decode_json_tree(R"({"nodes":[{"name":"z","type":"file","uid":1},{"name":"a","type":"file","uid":2},)"
                       R"({"name":"z","type":"file","uid":3}]})");
  ASSERT_EQ(tree->size(), 2U);
  EXPECT_EQ(tree->node(1).uid, 1U);
}

TEST(Tree, NestingWithoutEndIsPassedOver) {
  const std::size_t depth = 100000;
  const std::string deep = std::string(depth, '[') + std::string(depth, ']');
  EXPECT_EQ(decode_node(R"("x":)" + deep + R"(,"name":"f","type":"file")")->size(), 1U);
  EXPECT_THROW(decode_node(R"("name":"f","content":)" + deep), Error);
}

TEST(Tree, NoCutOfATreeDecodes) {
  const std::string text = Json::load("trees")["trees"].items().at(1)["tree"].text();
  const std::size_t whole = text.size() - 1;  // the newline is not missed
  for (std::size_t size = 0; size < whole; ++size) {
    EXPECT_THROW(decode_json_tree(text.substr(0, size)), Error) << size << " bytes";
  }
}

TEST(Tree, AFlippedBitDecodesOrFailsButNothingElse) {
  const std::string text = Json::load("trees")["trees"].items().at(2)["tree"].text();
  std::size_t failed = 0;
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try {
      const TreePtr tree = decode_json_tree(damaged);
      for (std::size_t i = 0; i < tree->size(); ++i) EXPECT_FALSE(tree->node(i).name.empty());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
      ++failed;
    }
  }
  EXPECT_GT(failed, text.size());
}

TEST(Tree, SharedOwnersAreKeptOnce) {
  TreeBuilder builder;
  const std::string user(1000, 'u');
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "file" + std::to_string(i);
    Node node;
    node.name = name;
    node.user = user;
    builder.add(node);
  }
  const TreePtr tree = builder.finish();
  EXPECT_EQ(tree->node(999).user, user);
  EXPECT_LT(tree->memory_bytes(), 1000U * 128);
}

}  // namespace
}  // namespace restic::repo
