// SPDX-License-Identifier: MIT
#include "repo/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "repo/cpu_pool.h"
#include "support/fake_backend.h"
#include "support/temporary_folder.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Call;
using test::Fault;
using test::MiniRepo;
using transport::FileName;
using transport::FileType;

PasswordSource always(const std::string& password) {
  return [password](int) { return password; };
}

void put_all(test::FakeBackend& backend, const MiniRepo& repo) {
  for (const std::string& path : repo.files()) {
    if (path == "config") {
      backend.put({FileType::Config, ""}, repo.file(path));
      continue;
    }
    const std::string folder = path.substr(0, path.find('/')), name = path.substr(path.rfind('/') + 1);
    for (const FileType type :
         {FileType::Key, FileType::Snapshot, FileType::Index, FileType::Pack, FileType::Lock}) {
      if (folder == transport::folder_of(type)) backend.put({type, name}, repo.file(path));
    }
  }
}

class RepositoryTest : public testing::Test {
 protected:
  std::unique_ptr<Repository> open(const std::string& password, const RepositoryOptions& options = {}) {
    return Repository::open(backend_, always(password), options, pool_, log_);
  }
  Error open_error(const PasswordSource& password) {
    try {
      Repository::open(backend_, password, {}, pool_, log_);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "the repository opened";
    return {Errc::Io, ""};
  }

  test::FakeBackend backend_;
  CpuPool pool_{2};
  Log log_{Log::Sink::Nothing};
};

// Reads every tree and every blob of every file below `id`; returns how many files there were.
std::size_t read_everything(Repository& repository, const Id& id) {
  std::size_t files = 0;
  const TreePtr tree = repository.tree(id);
  for (std::size_t i = 0; i < tree->size(); ++i) {
    const Node node = tree->node(i);
    if (node.subtree) files += read_everything(repository, *node.subtree);
    if (node.type != NodeType::File) continue;
    ++files;
    std::uint64_t size = 0;
    for (const Id& blob : node.content) size += repository.blobs().load({BlobType::Data, blob})->bytes.size();
    EXPECT_EQ(size, node.size) << node.name;
  }
  return files;
}

TEST_F(RepositoryTest, ReadsWholeRepositoriesOfEveryVersion) {
  for (const MiniRepo& mini : MiniRepo::all()) {
    test::FakeBackend backend;
    put_all(backend, mini);
    const auto repository = Repository::open(backend, always(mini.password), {}, pool_, log_);
    EXPECT_EQ(repository->config().version, mini.format_version);
    const SnapshotList list = repository->snapshots();
    ASSERT_EQ(list.snapshots.size(), 1U);
    EXPECT_EQ(list.snapshots[0].id, mini.facts["snapshot_id"].id());
    EXPECT_GT(read_everything(*repository, list.snapshots[0].tree), 0U);
  }
}

TEST_F(RepositoryTest, AWarmCacheStandsInForTheIndexFiles) {
  const test::TemporaryFolder folder;
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  RepositoryOptions options;
  options.cache_dir = folder.file("cache");
  options.cache_bytes = 64U << 20U;
  std::size_t files = 0;
  {
    const auto repository = open(mini.password, options);
    files = read_everything(*repository, repository->snapshots().snapshots[0].tree);
  }
  backend_.set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Load || call.file.type != FileType::Index) return {};
    return {.fail = Error(Errc::Io, "must not be needed"), .fail_after = {}, .truncate = {}};
  });
  const auto repository = open(mini.password, options);
  EXPECT_TRUE(repository->index()->unreadable_files().empty());
  EXPECT_EQ(read_everything(*repository, repository->snapshots().snapshots[0].tree), files);
  EXPECT_EQ(log_.last_problem(), "");
}

}  // namespace
}  // namespace restic::repo
