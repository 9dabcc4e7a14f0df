// SPDX-License-Identifier: MIT
#include "repo/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>

#include "repo/cpu_pool.h"
#include "repo/key_file.h"
#include "repo/sealed_file.h"
#include "support/fake_backend.h"
#include "support/temporary_folder.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Call;
using test::fail_with;
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

Crypto crypto_of(const MiniRepo& repo) {
  const std::string path = "keys/" + repo.facts["key_file"].text();
  return Crypto(**open_key_file(decode_key_file(repo.file(path), path), repo.password));
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

struct Damage {
  std::size_t good = 0, bad = 0;
  std::string message;  // of the last
};

// Tries every tree and blob below `id`.
void survey(Repository& repository, const Id& id, Damage& damage) {
  const auto attempt = [&](const std::function<void()>& read) {
    try {
      read();
      ++damage.good;
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged);
      ++damage.bad;
      damage.message = error.what();
      return false;
    }
  };
  TreePtr tree;
  if (!attempt([&] { tree = repository.tree(id); })) return;
  for (std::size_t i = 0; i < tree->size(); ++i) {
    const Node node = tree->node(i);
    if (node.subtree) survey(repository, *node.subtree, damage);
    for (const Id& blob : node.content) {
      attempt([&] { repository.blobs().load({BlobType::Data, blob}); });
    }
  }
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

TEST_F(RepositoryTest, AsksForThePasswordThreeTimes) {
  put_all(backend_, MiniRepo::of_version(2));
  std::vector<int> attempts;
  const Error error = open_error([&](int attempt) -> std::optional<std::string> {
    attempts.push_back(attempt);
    return "wrong";
  });
  EXPECT_EQ(error.code(), Errc::WrongPassword);
  EXPECT_THAT(attempts, testing::ElementsAre(1, 2, 3));
}

TEST_F(RepositoryTest, ASourceThatHasOnePasswordIsAskedOnce) {
  put_all(backend_, MiniRepo::of_version(2));
  int asked = 0;
  const Error error = open_error([&](int attempt) -> std::optional<std::string> {
    ++asked;
    if (attempt > 1) return std::nullopt;
    return "wrong";
  });
  EXPECT_EQ(error.code(), Errc::WrongPassword);
  EXPECT_EQ(asked, 2);
}

TEST_F(RepositoryTest, AnEmptyStorageIsNoRepository) {
  int asked = 0;
  const Error error = open_error([&](int) -> std::optional<std::string> {
    ++asked;
    return "secret";
  });
  EXPECT_EQ(error.code(), Errc::NotFound);
  EXPECT_STREQ(
      error.what(),
      "no restic repository is there: config is missing; look at the path, or make one with -o init");
  EXPECT_EQ(asked, 0);
}

TEST_F(RepositoryTest, AnOutageIsNotTakenForAnEmptyStorage) {
  put_all(backend_, MiniRepo::of_version(2));
  backend_.set_hook([](const Call&) { return fail_with(Errc::Unavailable); });
  EXPECT_EQ(open_error(always("secret")).code(), Errc::Unavailable);
}

TEST_F(RepositoryTest, ADamagedConfigIsNamed) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  backend_.put({FileType::Config, ""}, Bytes(100, 'x'));
  const Error error = open_error(always(mini.password));
  EXPECT_EQ(error.code(), Errc::Damaged);
  EXPECT_THAT(error.what(), testing::HasSubstr("config"));
}

TEST_F(RepositoryTest, AnotherVersionIsUnsupported) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto crypto = crypto_of(mini);
  std::string config = mini.facts["config_plaintext"].text();
  config.replace(config.find("\"version\":2"), 11, "\"version\":3");
  backend_.put({FileType::Config, ""}, seal_file(crypto, 2, FileType::Config, config));
  EXPECT_EQ(open_error(always(mini.password)).code(), Errc::Unsupported);
}

TEST_F(RepositoryTest, OneBadSnapshotFileDoesNotHideTheOthers) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const FileName bad = test::numbered_file(FileType::Snapshot, 0xbad);
  backend_.put(bad, Bytes(200, 'x'));
  const auto repository = open(mini.password);
  for (int again = 0; again < 2; ++again) {
    const SnapshotList list = repository->snapshots();
    EXPECT_EQ(list.snapshots.size(), 1U);
    EXPECT_THAT(list.unreadable, testing::ElementsAre(*Id::from_hex(bad.name)));
  }
  backend_.drop(bad);
  EXPECT_TRUE(repository->snapshots().unreadable.empty());
}

TEST_F(RepositoryTest, ASnapshotFileIsReadOnce) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto repository = open(mini.password);
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Snapshot), 1U);
  EXPECT_EQ(repository->snapshots_at_open().snapshots.size(), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Snapshot), 1U);
  repository->snapshots();
  repository->snapshots();
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Snapshot), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Snapshot), 3U);
}

TEST_F(RepositoryTest, AForgottenSnapshotDisappears) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto repository = open(mini.password);
  backend_.drop({FileType::Snapshot, mini.facts["snapshot_id"].text()});
  EXPECT_TRUE(repository->snapshots().snapshots.empty());
}

TEST_F(RepositoryTest, ManySnapshotsAreLoadedAtOnce) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto crypto = crypto_of(mini);
  const std::string json = mini.facts["snapshot_plaintext"].text();
  for (int i = 0; i < 300; ++i) {
    std::string changed = json;
    changed.insert(changed.size() - 1, ",\"unknown\":" + std::to_string(i));
    const Bytes sealed = seal_file(crypto, 2, FileType::Snapshot, changed);
    backend_.put({FileType::Snapshot, Id::of(sealed).hex()}, sealed);
  }
  EXPECT_EQ(open(mini.password)->snapshots_at_open().snapshots.size(), 301U);
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Snapshot), 301U);
}

TEST_F(RepositoryTest, ANewSnapshotBringsItsIndexAlong) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  std::map<std::string, Bytes> late;
  for (const FileType type : {FileType::Snapshot, FileType::Index}) {
    for (const std::string& name : backend_.names(type)) {
      late[name] = *backend_.get({type, name});
      backend_.drop({type, name});
    }
  }
  const auto repository = open(mini.password);
  EXPECT_TRUE(repository->snapshots().snapshots.empty());
  for (const auto& [name, content] : late) {
    const bool snapshot = name == mini.facts["snapshot_id"].text();
    backend_.put({snapshot ? FileType::Snapshot : FileType::Index, name}, content);
  }
  const SnapshotList list = repository->snapshots();
  ASSERT_EQ(list.snapshots.size(), 1U);
  EXPECT_GT(read_everything(*repository, list.snapshots[0].tree), 0U);
}

TEST_F(RepositoryTest, TheIndexIsReadWhileANewSnapshotIs) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const FileName snapshot{FileType::Snapshot, mini.facts["snapshot_id"].text()};
  const FileName index{FileType::Index, backend_.names(FileType::Index).at(0)};
  const Bytes snapshot_content = *backend_.get(snapshot), index_content = *backend_.get(index);
  backend_.drop(snapshot);
  backend_.drop(index);
  const auto repository = open(mini.password);
  backend_.put(snapshot, snapshot_content);
  backend_.put(index, index_content);
  std::promise<void> listed;
  std::once_flag told;
  backend_.set_hook([&](const Call& call) {
    if (call.kind == Call::Kind::List && call.file.type == FileType::Index) {
      std::call_once(told, [&] { listed.set_value(); });
    }
    Fault fault;
    fault.hang = call.kind == Call::Kind::Load && call.file.type == FileType::Snapshot;
    return fault;
  });
  auto list = std::async(std::launch::async, [&] { return repository->snapshots(); });
  backend_.wait_for_hung(1);
  EXPECT_EQ(listed.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  backend_.release_hung();
  ASSERT_EQ(list.get().snapshots.size(), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Index), 2U) << "once to open, once for the new one";
}

TEST_F(RepositoryTest, OpensInFewRoundTripsInARow) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  open(mini.password);
  // Config, all lists and, as soon as they are listed, index and snapshot files are asked for before the key
  // file is opened; nothing is asked for twice.
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Config), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Index), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Snapshot), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::List, FileType::Key), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Index), backend_.names(FileType::Index).size());
  EXPECT_EQ(backend_.count(Call::Kind::Load, FileType::Key), 1U);
  EXPECT_EQ(backend_.count(Call::Kind::LoadRange), 0U);
}

TEST_F(RepositoryTest, AWarmCacheSparesSnapshotsIndexesAndTrees) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const test::TemporaryFolder folder;
  RepositoryOptions options;
  options.cache_dir = folder.file("cache");
  options.cache_bytes = 64U << 20U;
  const Id tree = open(mini.password, options)->snapshots_at_open().snapshots.at(0).tree;
  open(mini.password, options)->tree(tree);
  const auto repository = open(mini.password, options);
  backend_.forget_calls();
  EXPECT_EQ(repository->snapshots().snapshots.size(), 1U);
  EXPECT_TRUE(repository->index()->contains({BlobType::Tree, tree}));
  EXPECT_GT(repository->tree(tree)->size(), 0U);
  EXPECT_EQ(backend_.count(Call::Kind::Load), 0U);
  EXPECT_EQ(backend_.count(Call::Kind::LoadRange), 0U);
}

TEST_F(RepositoryTest, DamagedPacksLeaveTheRestReadable) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto repository = open(mini.password);
  const Id root = repository->snapshots_at_open().snapshots.at(0).tree;
  for (const std::string& name : backend_.names(FileType::Pack)) {
    const Bytes whole = *backend_.get({FileType::Pack, name});
    Bytes damaged = whole;
    damaged[20] ^= 0x40U;  // in the first blob
    backend_.put({FileType::Pack, name}, damaged);
    const auto fresh = open(mini.password);
    Damage damage;
    survey(*fresh, root, damage);
    EXPECT_EQ(damage.bad, 1U) << name;
    EXPECT_THAT(damage.message, testing::HasSubstr(name));
    backend_.put({FileType::Pack, name}, whole);
  }
}

TEST_F(RepositoryTest, AnOutageIsNotAShorterListOfSnapshots) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto repository = open(mini.password);
  const std::size_t before = repository->snapshots().snapshots.size();
  const FileName added = test::numbered_file(FileType::Snapshot, 1);
  backend_.put(added, Bytes(100));
  backend_.set_hook([](const Call& call) -> Fault {
    if (call.kind != Call::Kind::Load || call.file.type != FileType::Snapshot) return {};
    return {.fail = Error(Errc::Unavailable, "injected"), .fail_after = {}, .truncate = {}};
  });
  EXPECT_THROW(repository->snapshots(), Error);
  backend_.set_hook({});
  const SnapshotList list = repository->snapshots();
  EXPECT_EQ(list.snapshots.size(), before);
  EXPECT_EQ(list.unreadable.size(), 1U);
}

TEST_F(RepositoryTest, NobodyWaitsForADeadStorageOnceReadingIsStopped) {
  const MiniRepo mini = MiniRepo::of_version(2);
  put_all(backend_, mini);
  const auto repository = open(mini.password);
  const Id root = repository->snapshots().snapshots[0].tree;
  backend_.set_hook(
      [](const Call&) -> Fault { return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; });
  const auto code_of = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return Errc::Usage;  // none
  };
  auto reader = std::async(std::launch::async, [&] { return code_of([&] { repository->tree(root); }); });
  auto lister = std::async(std::launch::async, [&] { return code_of([&] { repository->snapshots(); }); });
  backend_.wait_for_hung(2);
  repository->stop_reading();
  EXPECT_EQ(reader.get(), Errc::Cancelled);
  EXPECT_EQ(lister.get(), Errc::Cancelled);
  EXPECT_EQ(code_of([&] { repository->tree(root); }), Errc::Cancelled);
  EXPECT_EQ(code_of([&] { repository->snapshots(); }), Errc::Cancelled);
}

}  // namespace
}  // namespace restic::repo
