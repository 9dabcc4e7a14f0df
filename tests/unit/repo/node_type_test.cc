// SPDX-License-Identifier: MIT
#include "repo/node_type.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;

TEST(NodeType, EveryModeIsTranslatedBothWays) {
  const Json vectors = Json::load("modes");
  for (const char* list : {"pairs", "not_backed_up_but_valid"}) {
    for (const Json& vector : vectors[list].items()) {
      const auto st_mode = static_cast<std::uint32_t>(std::stoul(vector["st_mode_octal"].text(), nullptr, 8));
      const auto go_mode = static_cast<std::uint32_t>(vector["go_mode"].number());
      const NodeType type = node_type_of(vector["type"].text());
      EXPECT_EQ(spelling_of(type), vector["type"].text());
      EXPECT_EQ(posix_mode_of(go_mode), st_mode & ~static_cast<std::uint32_t>(S_IFMT));
      EXPECT_EQ(go_mode_of(type, st_mode), go_mode);
    }
  }
}

TEST(NodeType, UnknownSpellingsAreIrregular) {
  for (const char* spelling : {"", "weird", "File", "irregular"}) {
    EXPECT_EQ(node_type_of(spelling), NodeType::Irregular);
  }
}

}  // namespace
}  // namespace restic::repo
