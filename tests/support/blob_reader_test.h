// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "repo/pack_blob_reader.h"
#include "support/index_material.h"
#include "support/pack_material.h"

namespace restic::test {

inline constexpr std::size_t kKiB = 1024;

inline Fault corrupted() { return {.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = true}; }
inline Fault hung() { return {.fail = {}, .fail_after = {}, .truncate = {}, .hang = true}; }

struct LendingBackend : FakeBackend {
  bool lends = false;
  bool lends_threads() const override { return lends; }
};

// A PackBlobReader over packs that a test makes, in a backend that fails on demand.
class PackBlobReaderTest : public testing::Test {
 protected:
  // Call after the packs are made.
  void start(std::uint64_t memory = 64U << 20U) {
    index_ = packs_.index(pool_);
    repo::BlobReaderOptions options;
    options.memory_bytes = memory;
    options.refresh_pause = std::chrono::milliseconds(1);
    reader_ = std::make_unique<repo::PackBlobReader>(backend_, crypto_, pool_, log_,
                                                     repo::IndexSource{[this] {
                                                                         std::lock_guard lock(mutex_);
                                                                         return index_;
                                                                       },
                                                                       [this] { refresh(); }},
                                                     options);
  }

  void refresh() {
    ++refreshes_;
    if (on_refresh_) on_refresh_();
  }

  void publish(std::shared_ptr<const repo::Index> index) {
    std::lock_guard lock(mutex_);
    index_ = std::move(index);
  }

  Error load_error(const repo::BlobKey& key) {
    try {
      reader_->load(key);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return {Errc::Io, ""};
  }

  std::vector<repo::BlobKey> add_many(std::uint32_t first, std::uint32_t count, std::size_t size) {
    std::vector<repo::BlobKey> keys;
    for (std::uint32_t i = 0; i < count; ++i) keys.push_back(packs_.add_numbered(first + i, size));
    return keys;
  }

  static void expect_content(const repo::BlobPtr& blob, std::uint32_t number, std::size_t size) {
    EXPECT_TRUE(std::ranges::equal(blob->bytes, numbered_content(number, size)));
  }

  std::size_t ranges() const { return backend_.count(Call::Kind::LoadRange); }

  // Waits until every blob asked for ahead has landed.
  static void settle(const std::vector<repo::BlobSlotPtr>& slots) {
    for (const repo::BlobSlotPtr& slot : slots) {
      if (slot) slot->wait();
    }
  }

  LendingBackend backend_;
  repo::Crypto crypto_{test_key()};
  repo::CpuPool pool_{2};
  Log log_{Log::Sink::Nothing};
  PackMaker packs_{backend_, crypto_};
  std::mutex mutex_;
  std::shared_ptr<const repo::Index> index_;
  std::atomic<int> refreshes_{0};
  std::function<void()> on_refresh_;
  std::unique_ptr<repo::PackBlobReader> reader_;
};

}  // namespace restic::test
