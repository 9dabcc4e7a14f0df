// SPDX-License-Identifier: MIT
#include "repo/snapshot.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

const std::string kTree(64, 'a');

Snapshot decoded(const std::string& text) { return decode_snapshot(Id{}, as_bytes(text)); }

TEST(Snapshot, RealOnesAreReadAndWrittenAlike) {
  for (const test::MiniRepo& repo : test::MiniRepo::all()) {
    const std::string plain = repo.facts["snapshot_plaintext"].text();
    const Snapshot snapshot = decode_snapshot(repo.facts["snapshot_id"].id(), as_bytes(plain));
    EXPECT_EQ(snapshot.id, repo.facts["snapshot_id"].id());
    EXPECT_EQ(snapshot.hostname, "vechost");
    EXPECT_EQ(snapshot.paths, std::vector<std::string>{"/srv/mini"});
    EXPECT_EQ(encode_snapshot(snapshot), plain) << repo.written_by;
  }
}

TEST(Snapshot, EveryMemberGoesThereAndBack) {
  const std::string text =
      R"({"time":"2024-06-02T03:04:05.123456789+05:30","parent":")" + std::string(64, 'b') + R"(","tree":")" +
      kTree +
      R"(","paths":["/a","/b\u003c"],"hostname":"h","username":"u","uid":1000,"gid":100,"excludes":["*.o"],)"
      R"("tags":["x","y"],"original":")" +
      std::string(64, 'c') +
      R"(","program_version":"restic 0.19.1","summary":{"backup_start":"2024-06-02T03:04:05Z",)"
      R"("backup_end":"2024-06-02T03:04:06Z","files_new":1,"files_changed":2,"files_unmodified":3,"dirs_new":4,)"
      R"("dirs_changed":5,"dirs_unmodified":6,"data_blobs":7,"tree_blobs":8,"data_added":9,"data_added_packed":10,)"
      R"("total_files_processed":11,"total_bytes_processed":12}})";
  const Snapshot snapshot = decoded(text);
  EXPECT_EQ(snapshot.zone_seconds, 19800);
  EXPECT_EQ(snapshot.time.nanoseconds, 123456789U);
  EXPECT_EQ(snapshot.paths.back(), "/b<");
  EXPECT_EQ(snapshot.summary.value().data_added_packed, 10U);
  EXPECT_EQ(encode_snapshot(snapshot), text);
}

TEST(Snapshot, NeedsATreeAndATime) {
  EXPECT_NO_THROW(decoded(R"({"time":"2024-06-02T03:04:05Z","tree":")" + kTree + R"("})"));
  EXPECT_THROW(decoded(R"({"time":"2024-06-02T03:04:05Z"})"), Error);
  EXPECT_THROW(decoded(R"({"time":"2024-06-02T03:04:05Z","tree":null})"), Error);
  EXPECT_THROW(decoded(R"({"time":"2024-06-02T03:04:05Z","tree":")" + std::string(64, '0') + R"("})"), Error);
  EXPECT_THROW(decoded(R"({"tree":")" + kTree + R"("})"), Error);
  EXPECT_THROW(decoded(R"({"time":"yesterday","tree":")" + kTree + R"("})"), Error);
}

TEST(Snapshot, TheErrorNamesTheFile) {
  const Id id = Id::of(as_bytes("x"));
  try {
    decode_snapshot(id, as_bytes("{"));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Damaged);
    EXPECT_TRUE(std::string(error.what()).starts_with("snapshots/" + id.hex() + ": ")) << error.what();
  }
}

TEST(Snapshot, NoCutOfOneDecodes) {
  const std::string text = test::MiniRepo::all().back().facts["snapshot_plaintext"].text();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THROW(decoded(text.substr(0, size)), Error) << size << " bytes";
  }
}

TEST(Snapshot, TextAfterItIsAnError) {
  EXPECT_THROW(decoded(R"({"time":"2024-06-02T03:04:05Z","tree":")" + kTree + R"("}{})"), Error);
}

}  // namespace
}  // namespace restic::repo
