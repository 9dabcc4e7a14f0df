// SPDX-License-Identifier: MIT
#include "repo/init_repository.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "repo/polynomial.h"
#include "support/fake_backend.h"
#include "support/made_repository.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using transport::FileType;

constexpr KdfParameters kQuick{1024, 8, 1};

Errc code_of_init(test::FakeBackend& backend) {
  try {
    init_repository(backend, "secret", {"h", "u"}, kQuick);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "it did not refuse";
  return Errc::Io;
}

TEST(InitRepository, MakesOneThatOpens) {
  test::MadeRepository made;
  EXPECT_EQ(made.repository().config().version, 2U);
  EXPECT_TRUE(usable_for_chunking(made.repository().config().chunker_polynomial));
  EXPECT_EQ(made.backend().names(FileType::Key).size(), 1U);
  EXPECT_EQ(made.check_consistency(), 0U);
}

TEST(InitRepository, EachHasItsOwnIdAndPolynomial) {
  test::MadeRepository one;
  test::MadeRepository other;
  EXPECT_NE(one.repository().config().id, other.repository().config().id);
  EXPECT_NE(one.repository().config().chunker_polynomial, other.repository().config().chunker_polynomial);
}

TEST(InitRepository, WritesTheConfigLast) {
  test::FakeBackend backend;
  init_repository(backend, "secret", {"h", "u"}, kQuick);
  std::vector<FileType> saved;
  for (const Call& call : backend.calls()) {
    if (call.kind == Call::Kind::Save) saved.push_back(call.file.type);
  }
  EXPECT_EQ(saved, (std::vector<FileType>{FileType::Key, FileType::Config}));
}

TEST(InitRepository, RefusesAPlaceThatHasConfigKeyOrSnapshot) {
  for (const FileType type : {FileType::Config, FileType::Key, FileType::Snapshot}) {
    test::FakeBackend backend;
    backend.put(type == FileType::Config ? transport::FileName{type, ""} : test::numbered_file(type, 1),
                Bytes(64));
    EXPECT_EQ(code_of_init(backend), Errc::Usage);
    EXPECT_EQ(backend.count(Call::Kind::Save), 0U);
  }
}

TEST(InitRepository, DoesNotTakeAnOutageForAnEmptyPlace) {
  test::FakeBackend backend;
  backend.set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Load) return {};
    return {.fail = Error(Errc::Unavailable, "down"), .fail_after = {}, .truncate = {}};
  });
  EXPECT_EQ(code_of_init(backend), Errc::Unavailable);
  EXPECT_EQ(backend.count(Call::Kind::Save), 0U);
}

TEST(InitRepository, WantsAPassword) {
  test::FakeBackend backend;
  EXPECT_THROW(init_repository(backend, "", {"h", "u"}, kQuick), Error);
}

}  // namespace
}  // namespace restic::repo
