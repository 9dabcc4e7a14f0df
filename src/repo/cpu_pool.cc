// SPDX-License-Identifier: MIT
#include "repo/cpu_pool.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace restic::repo {

namespace {

int worker_count(unsigned asked) {
  constexpr unsigned kMostThreads = 256;
  unsigned threads = asked != 0 ? asked : std::thread::hardware_concurrency();
  return static_cast<int>(std::clamp(threads, 1U, kMostThreads));
}

}  // namespace

struct CpuPool::Impl {
  // TBB starts one worker less than there are cores, for it counts the caller in. Our callers mostly wait for
  // I/O, so the arena gets one slot more, which is theirs, and TBB is allowed the worker that this needs.
  explicit Impl(unsigned asked)
      : workers(worker_count(asked)),
        allowed(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(workers) + 1),
        arena(workers + 1, 1) {}

  int workers;
  tbb::global_control allowed;
  tbb::task_arena arena;
  tbb::task_group submitted;
};

CpuPool::CpuPool(unsigned threads) : impl_(std::make_unique<Impl>(threads)) {}

CpuPool::~CpuPool() {
  impl_->arena.execute([this] { impl_->submitted.wait(); });
}

unsigned CpuPool::threads() const { return static_cast<unsigned>(impl_->workers); }

void CpuPool::submit(std::function<void()> task) {
  // noexcept: an exception would cancel every other task of the group without a word.
  impl_->arena.enqueue(impl_->submitted.defer([task = std::move(task)]() noexcept { task(); }));
}

void CpuPool::for_each(std::size_t count, const std::function<void(std::size_t)>& body) {
  // Isolated: while it waits for the last pieces the caller must not pick up somebody else's task, which may
  // be long or want a lock that the caller holds.
  impl_->arena.execute([&] {
    tbb::this_task_arena::isolate([&] {
      tbb::parallel_for(
          tbb::blocked_range<std::size_t>(0, count, 1),
          [&](const auto& range) {
            for (std::size_t i = range.begin(); i != range.end(); ++i) body(i);
          },
          tbb::simple_partitioner());
    });
  });
}

}  // namespace restic::repo
