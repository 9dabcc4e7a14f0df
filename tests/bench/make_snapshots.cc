// SPDX-License-Identifier: MIT
// make_snapshots REPOSITORY COUNT: adds COUNT snapshots of the tree that the repository's first snapshot has,
// an hour apart and over ten hosts. The repository must have a snapshot; RESTIC_PASSWORD opens it.
#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "bench_repository.h"
#include "repo/id.h"
#include "repo/snapshot.h"

namespace restic::bench {
namespace {

using transport::FileName;
using transport::FileType;

repo::Snapshot first_snapshot(const BenchRepository& repository) {
  const std::vector<transport::FileInfo> files = transport::list(*repository.backend, FileType::Snapshot);
  if (files.empty()) throw Error(Errc::Usage, "the repository has no snapshot to repeat");
  const FileName file{FileType::Snapshot, files.front().name};
  const Bytes json = repo::open_sealed_file(*repository.crypto, repository.config.version, file,
                                            transport::load(*repository.backend, file, repo::kMaxSealedFile));
  return repo::decode_snapshot(*repo::Id::from_hex(file.name), json);
}

void make_snapshots(const std::string& location, std::size_t count) {
  Log log(Log::Sink::Stderr);
  BenchRepository repository = BenchRepository::open(location, log);
  repo::Snapshot snapshot = first_snapshot(repository);
  for (std::size_t number = 0; number < count; ++number) {
    snapshot.time.seconds -= 3600;
    snapshot.hostname = "host" + std::to_string(number % 10);
    const std::string json = repo::encode_snapshot(snapshot);
    auto stored = std::make_shared<const Bytes>(
        repo::seal_file(*repository.crypto, repository.config.version, FileType::Snapshot, json));
    transport::save(*repository.backend, {FileType::Snapshot, repo::Id::of(*stored).hex()}, stored);
  }
}

}  // namespace
}  // namespace restic::bench

int main(int argc, char** argv) {
  std::size_t count = 0;
  const std::string_view number = argc == 3 ? argv[2] : "";
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (number.empty() || problem != std::errc() || end != number.data() + number.size()) {
    std::fprintf(stderr, "usage: make_snapshots REPOSITORY COUNT\n");
    return 1;
  }
  try {
    restic::bench::make_snapshots(argv[1], count);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_snapshots: %s\n", error.what());
    return 2;
  }
  return 0;
}
