// SPDX-License-Identifier: MIT
#include "support/made_repository.h"

#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>

#include "repo/crypto.h"
#include "repo/init_repository.h"
#include "repo/pack_header.h"

namespace restic::test {
namespace {

using transport::FileName;
using transport::FileType;

// Cheap, for tests.
constexpr repo::KdfParameters kKdf{1024, 8, 1};

void read_tree(repo::Repository& repository, const repo::Id& id) {
  const repo::TreePtr tree = repository.tree(id);
  for (std::size_t i = 0; i < tree->size(); ++i) {
    const repo::Node node = tree->node(i);
    for (const repo::Id& chunk : node.content) repository.blobs().load({repo::BlobType::Data, chunk});
    if (node.subtree) read_tree(repository, *node.subtree);
  }
}

}  // namespace

MadeRepository::MadeRepository() {
  repo::init_repository(backend_, kPassword, {"made-host", "made-user"}, kKdf);
  repository_ = open_again();
  backend_.forget_calls();
}

std::unique_ptr<repo::Repository> MadeRepository::open_again() {
  const auto password = [](int attempt) {
    return attempt == 1 ? std::optional<std::string>(kPassword) : std::nullopt;
  };
  return repo::Repository::open(backend_, password, {}, pool_, log_);
}

std::size_t MadeRepository::check_consistency() {
  const std::unique_ptr<repo::Repository> repository = open_again();
  const std::shared_ptr<const repo::Index> index = repository->index();
  for (std::uint32_t number = 0; number < index->pack_count(); ++number) {
    std::vector<repo::BlobPlace> listed;
    index->in_pack(number, 0, ~std::uint64_t{0}, ~std::size_t{0}, listed);
    const FileName file{FileType::Pack, listed.at(0).pack.hex()};
    const std::optional<Bytes> content = backend_.get(file);
    if (!content) throw std::runtime_error("an index file names a pack that is not there");
    if (repo::Id::of(*content) != listed[0].pack)
      throw std::runtime_error("a pack is not what its name says");
    const ByteView trailer = ByteView(*content).last(repo::kPackTrailerSize);
    const std::size_t tail = repo::pack_tail_size(trailer, content->size(), "pack");
    const auto header =
        repo::decode_pack_tail(repository->crypto(), ByteView(*content).last(tail), content->size(), "pack");
    if (header.size() != listed.size()) throw std::runtime_error("index and header of a pack differ");
  }
  const repo::SnapshotList list = repository->snapshots();
  if (!list.unreadable.empty()) throw std::runtime_error("a snapshot cannot be read");
  for (const repo::Snapshot& snapshot : list.snapshots) read_tree(*repository, snapshot.tree);
  return list.snapshots.size();
}

void MadeRepository::write_to(const std::filesystem::path& folder) const {
  const auto write = [&](const std::filesystem::path& path, const FileName& file) {
    std::filesystem::create_directories(path.parent_path());
    const Bytes content = backend_.get(file).value();
    std::ofstream(path, std::ios::binary) << as_text(content);
  };
  write(folder / "config", {FileType::Config, {}});
  for (const FileType type : {FileType::Key, FileType::Lock, FileType::Snapshot, FileType::Index}) {
    std::filesystem::create_directories(folder / transport::folder_of(type));
    for (const std::string& name : backend_.names(type)) {
      write(folder / transport::folder_of(type) / name, {type, name});
    }
  }
  std::filesystem::create_directories(folder / "data");
  for (const std::string& name : backend_.names(FileType::Pack)) {
    write(folder / "data" / name.substr(0, 2) / name, {FileType::Pack, name});
  }
}

}  // namespace restic::test
