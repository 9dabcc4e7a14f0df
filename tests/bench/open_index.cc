// SPDX-License-Identifier: MIT
// open_index REPOSITORY [CACHE_DIR]: loads a repository's index and prints what it took. Twice with a
// CACHE_DIR shows the cold and the warm cache. RESTIC_PASSWORD opens the repository.
#include <sys/resource.h>

#include <cstdio>
#include <exception>
#include <optional>

#include "bench_repository.h"
#include "repo/cpu_pool.h"
#include "repo/index_loader.h"
#include "repo/local_cache.h"
#include "repo/log_index_cache.h"

namespace restic::bench {
namespace {

constexpr std::uint64_t kCacheBudget = 4ULL << 30U;

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void open_index(const std::string& location, const std::string& cache_dir) {
  Log log(Log::Sink::Stderr);
  const Stopwatch total;
  const BenchRepository repository = BenchRepository::open(location, log);
  std::printf("%-28s %8.3f s  %8ld KiB peak\n", "backend, keys, config", total.seconds(), peak_kib());

  repo::CpuPool pool;
  std::optional<repo::LocalCache> local;
  std::optional<repo::LogIndexCache> cache;
  const Stopwatch loading;
  if (!cache_dir.empty()) {
    local.emplace(cache_dir, repository.config.id, *repository.crypto, log);
    cache.emplace(local->open_log("index", kCacheBudget), pool);
  }
  repo::IndexLoader loader(*repository.backend, *repository.crypto, repository.config.version, pool, log,
                           cache ? &*cache : nullptr);
  const auto index = loader.load(nullptr, {}, {});
  std::printf("%-28s %8.3f s  %8ld KiB peak\n", "index", loading.seconds(), peak_kib());
  std::printf("%-28s %8.3f s\n", "ready", total.seconds());
  std::printf("%-28s %10zu blobs, %zu packs, %zu files, %zu unreadable\n", "", index->blob_count(),
              index->pack_count(), index->files().size(), index->unreadable_files().size());
  std::printf("%-28s %10.2f bytes a blob\n", "memory of the index",
              static_cast<double>(index->memory_bytes()) / static_cast<double>(index->blob_count() + 1));
  const Stopwatch saving;
  cache.reset();
  std::printf("%-28s %8.3f s  %8ld KiB peak\n", "cache written after that", saving.seconds(), peak_kib());
}

}  // namespace
}  // namespace restic::bench

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: open_index REPOSITORY [CACHE_DIR]\n");
    return 1;
  }
  try {
    restic::bench::open_index(argv[1], argc == 3 ? argv[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "open_index: %s\n", error.what());
    return 2;
  }
  return 0;
}
