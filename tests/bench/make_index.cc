// SPDX-License-Identifier: MIT
// make_index REPOSITORY BLOBS: adds index files that list BLOBS random blobs in packs that do not exist, as a
// backup of a large data set would have written them. The repository must exist; RESTIC_PASSWORD opens it.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <string_view>
#include <vector>

#include "bench_repository.h"
#include "repo/index_file.h"

namespace restic::bench {
namespace {

constexpr std::size_t kBlobsAFile = 50000;
constexpr std::size_t kBlobsAPack = 20;

class Generator {
 public:
  std::vector<repo::PackEntry> index_file(std::size_t blobs) {
    std::vector<repo::PackEntry> packs;
    for (std::size_t done = 0; done < blobs; done += kBlobsAPack) {
      packs.push_back(pack(std::min(kBlobsAPack, blobs - done)));
    }
    return packs;
  }

 private:
  repo::Id id() {
    repo::Id id;
    for (std::size_t at = 0; at < id.bytes.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random_();
      std::memcpy(id.bytes.data() + at, &word, sizeof word);
    }
    return id;
  }

  // One pack in twenty holds trees.
  repo::PackEntry pack(std::size_t blobs) {
    repo::PackEntry pack{.pack = id(), .blobs = {}};
    const bool trees = random_() % 20 == 0;
    std::uint32_t offset = 0;
    for (std::size_t i = 0; i < blobs; ++i) {
      const auto plain =
          static_cast<std::uint32_t>(trees ? 400 + random_() % 4000 : (1U << 19U) + random_() % (1U << 20U));
      const auto length = static_cast<std::uint32_t>(plain / 2 + random_() % (plain / 2));
      pack.blobs.push_back({.key = {.type = trees ? repo::BlobType::Tree : repo::BlobType::Data, .id = id()},
                            .offset = offset,
                            .length = length,
                            .uncompressed_length = plain});
      offset += length;
    }
    return pack;
  }

  std::mt19937_64 random_{std::random_device{}()};
};

void make_index(const std::string& location, std::size_t blobs) {
  Log log(Log::Sink::Stderr);
  BenchRepository repository = BenchRepository::open(location, log);
  Generator generator;
  for (std::size_t done = 0; done < blobs; done += kBlobsAFile) {
    const std::string json =
        repo::encode_index_file(generator.index_file(std::min(kBlobsAFile, blobs - done)));
    auto stored = std::make_shared<const Bytes>(
        repo::seal_file(*repository.crypto, repository.config.version, transport::FileType::Index, json));
    transport::save(*repository.backend, {transport::FileType::Index, repo::Id::of(*stored).hex()}, stored);
  }
}

}  // namespace
}  // namespace restic::bench

int main(int argc, char** argv) {
  std::size_t blobs = 0;
  const std::string_view number = argc == 3 ? argv[2] : "";
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), blobs);
  if (number.empty() || problem != std::errc() || end != number.data() + number.size()) {
    std::fprintf(stderr, "usage: make_index REPOSITORY BLOBS\n");
    return 1;
  }
  try {
    restic::bench::make_index(argv[1], blobs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_index: %s\n", error.what());
    return 2;
  }
  return 0;
}
