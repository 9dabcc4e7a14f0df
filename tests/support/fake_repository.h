// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "repo/repository.h"

namespace restic::test {

// An entry of a tree as a test writes it down; owns its text. For a Dir, `subtree` comes from
// FakeRepository::add_tree, for a File `content` from add_blob.
struct FakeNode {
  std::string name;
  repo::NodeType type = repo::NodeType::File;
  std::uint32_t mode = 0644;
  repo::Timestamp mtime, atime, ctime;
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t inode = 0, device_id = 0, size = 0, links = 1, device = 0;
  std::string link_target;
  std::vector<repo::Id> content;
  std::optional<repo::Id> subtree;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// A repository in memory: what a test puts in is what readers find, and every question is recorded. It can be
// cut off (everything not in its cache fails), and blobs can be held back until they are let go. Thread-safe.
class FakeRepository final : public repo::Repository, private repo::BlobReader {
 public:
  FakeRepository();
  ~FakeRepository() override;

  // ---- what is in it
  repo::Id add_blob(const std::string& content);
  void add_blob_as(const repo::Id& id, const std::string& content);
  repo::Id add_tree(std::vector<FakeNode> nodes);
  FakeNode file(const std::string& name, const std::string& content);
  FakeNode folder(const std::string& name, std::vector<FakeNode> nodes);
  // Snapshots are listed by (time, id), whatever the order they come in.
  void add_snapshot(repo::Snapshot snapshot);
  void remove_snapshot(const repo::Id& id);
  void remove_blob(const repo::Id& id);  // from index and storage
  static repo::Id made_up_id(std::uint64_t number);

  // ---- what happens to it
  void fail_with(std::optional<Error> failure);  // of trees, blobs and the list
  void hold_blobs();                             // from now on slots stay open
  void let_go();
  void drop_caches();  // trees and blobs must be fetched again

  // ---- what was asked of it
  struct Request {
    std::vector<repo::Id> ids;
    transport::Urgency urgency;
  };
  std::vector<Request> requests() const;
  void forget_requests();
  std::vector<repo::Id> trees_fetched() const;
  std::vector<repo::Id> trees_ahead() const;
  std::vector<repo::Id> retired() const;
  std::size_t neighbour_requests() const;
  std::size_t index_refreshes() const;
  std::size_t listings() const;
  void wait_until(
      const std::function<bool()>& condition) const;  // looked at after every question; 20 s at most

  // ---- repo::Repository
  const repo::Config& config() const override { return config_; }
  const repo::Crypto& crypto() const override;
  transport::Backend& backend() override;
  repo::CpuPool& pool() override;
  Log& log() override { return log_; }
  std::shared_ptr<const repo::Index> index() const override;
  void refresh_index() override;
  repo::SnapshotList snapshots() override;
  void stop_reading() override;
  repo::BlobReader& blobs() override { return *this; }
  repo::TreePtr tree(const repo::Id& id) override;
  repo::TreePtr cached_tree(const repo::Id& id) override;
  void tree_ahead(std::span<const repo::Id> ids) override;

 private:
  class Slot;
  // ---- repo::BlobReader
  repo::BlobPtr cached(const repo::BlobKey& key) override;
  std::vector<repo::BlobSlotPtr> request(std::span<const repo::BlobKey> keys,
                                         transport::Urgency urgency) override;
  void request_neighbours(const repo::BlobKey& key, std::uint64_t bytes) override;
  void retire(const repo::BlobKey& key) override;
  std::optional<std::uint32_t> plain_size(const repo::BlobKey& key) override;
  std::uint64_t room_ahead() const override { return 64ULL << 20U; }
  repo::BlobReaderStats stats() const override { return {}; }

  void asked() const { changed_.notify_all(); }

  repo::Config config_;
  mutable Log log_{Log::Sink::Nothing};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<repo::Id, repo::BlobPtr, repo::IdHash> blobs_;
  std::unordered_map<repo::Id, repo::BlobPtr, repo::IdHash> cache_;
  std::unordered_map<repo::Id, repo::TreePtr, repo::IdHash> trees_;
  std::unordered_map<repo::Id, repo::TreePtr, repo::IdHash> tree_cache_;
  std::map<std::pair<repo::Timestamp, repo::Id>, repo::Snapshot> snapshots_;
  std::optional<Error> failure_;
  bool holding_ = false;
  std::vector<std::shared_ptr<Slot>> held_;
  std::vector<Request> requests_;
  std::vector<repo::Id> trees_fetched_, trees_ahead_, retired_;
  std::size_t neighbour_requests_ = 0, index_refreshes_ = 0, listings_ = 0;
};

}  // namespace restic::test
