// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "repo/cpu_pool.h"
#include "repo/repository.h"
#include "support/pack_material.h"
#include "support/temporary_folder.h"
#include "transport/local_backend.h"

namespace restic::repo {
namespace {

namespace stdfs = std::filesystem;

// How a repository is made.
struct Making {
  const char* name;
  const char* version;
  const char* compression;
};

void write(const stdfs::path& file, ByteView content) {
  stdfs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << as_text(content);
}

std::string read(const stdfs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class RealRepositoryTest : public testing::TestWithParam<Making> {
 protected:
  void restic(const std::string& arguments) {
    const std::string command = "RESTIC_PASSWORD=secret restic --no-cache --quiet --compression " +
                                std::string(GetParam().compression) + " -r '" + repository_ + "' " +
                                arguments;
    ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(concurrency-mt-unsafe)
  }

  // The files below a tree, with their content, by path.
  static void collect(Repository& repository, const Id& id, const std::string& path,
                      std::map<std::string, std::string>& files) {
    const TreePtr tree = repository.tree(id);
    std::vector<Id> subtrees;
    for (std::size_t i = 0; i < tree->size(); ++i) {
      if (const auto subtree = tree->node(i).subtree) subtrees.push_back(*subtree);
    }
    if (!subtrees.empty()) repository.tree_ahead(subtrees);
    for (std::size_t i = 0; i < tree->size(); ++i) {
      const Node node = tree->node(i);
      const std::string here = path + "/" + std::string(node.name);
      if (node.subtree) collect(repository, *node.subtree, here, files);
      if (node.type != NodeType::File) continue;
      std::vector<BlobKey> keys;
      for (const Id& blob : node.content) keys.push_back({BlobType::Data, blob});
      std::string& content = files[here];
      for (const auto& slot : repository.blobs().request(keys, transport::Urgency::Demand)) {
        content += as_text(slot->wait()->bytes);
      }
      if (!keys.empty()) repository.blobs().request_neighbours(keys.front(), 256U << 10U);
    }
  }

  const test::TemporaryFolder folder_;
  const std::string repository_ = folder_.file("repository");
};

TEST_P(RealRepositoryTest, EveryFileComesBackAsItWas) {
  const stdfs::path source = folder_.path() / "source";
  for (std::uint32_t i = 0; i < 300; ++i) {
    write(source / ("folder" + std::to_string(i % 20)) / ("small" + std::to_string(i)),
          test::numbered_content(i, i * 37));
  }
  write(source / "large" / "random", test::numbered_content(1000, 20U << 20U));
  write(source / "large" / "zeros", Bytes(9U << 20U, 0));
  write(source / "empty", {});
  restic(std::string("init --repository-version ") + GetParam().version);
  restic("backup '" + source.string() + "'");

  transport::LocalBackend backend(repository_, 0);
  CpuPool pool;
  Log log(Log::Sink::Nothing);
  RepositoryOptions options;
  options.memory_bytes = 24U << 20U;
  const auto repository = Repository::open(
      backend, [](int) { return std::string("secret"); }, options, pool, log);
  const SnapshotList list = repository->snapshots_at_open();
  ASSERT_EQ(list.snapshots.size(), 1U);
  std::map<std::string, std::string> files;
  collect(*repository, list.snapshots[0].tree, "", files);

  std::size_t expected = 0;
  for (const auto& entry : stdfs::recursive_directory_iterator(source)) {
    if (!entry.is_regular_file()) continue;
    ++expected;
    EXPECT_TRUE(files.at(entry.path().string()) == read(entry.path())) << entry.path();
  }
  EXPECT_EQ(files.size(), expected);
}

INSTANTIATE_TEST_SUITE_P(Restic, RealRepositoryTest,
                         testing::Values(Making{"Version1", "1", "off"}, Making{"Plain", "2", "off"},
                                         Making{"Compressed", "2", "auto"}, Making{"Tight", "2", "max"}),
                         [](const auto& making) { return std::string(making.param.name); });

}  // namespace
}  // namespace restic::repo
