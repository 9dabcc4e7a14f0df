// SPDX-License-Identifier: MIT
#include "support/fake_repository.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace restic::test {
namespace {

class FakeTree final : public repo::Tree {
 public:
  explicit FakeTree(std::vector<FakeNode> nodes) : nodes_(std::move(nodes)) {
    std::stable_sort(nodes_.begin(), nodes_.end(),
                     [](const auto& a, const auto& b) { return a.name < b.name; });
    xattrs_.resize(nodes_.size());
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      for (const auto& [name, value] : nodes_[at].xattrs) xattrs_[at].push_back({name, value});
    }
  }

  std::size_t size() const override { return nodes_.size(); }
  repo::Node node(std::size_t position) const override {
    const FakeNode& from = nodes_.at(position);
    repo::Node node;
    node.name = from.name;
    node.type = from.type;
    node.mode = from.mode;
    node.mtime = from.mtime;
    node.atime = from.atime;
    node.ctime = from.ctime;
    node.uid = from.uid;
    node.gid = from.gid;
    node.inode = from.inode;
    node.device_id = from.device_id;
    node.size = from.size;
    node.links = from.links;
    node.device = from.device;
    node.link_target = from.link_target;
    node.content = from.content;
    node.subtree = from.subtree;
    node.xattrs = xattrs_[position];
    return node;
  }
  std::optional<std::size_t> find(std::string_view name) const override {
    const auto found =
        std::lower_bound(nodes_.begin(), nodes_.end(), name,
                         [](const FakeNode& node, std::string_view wanted) { return node.name < wanted; });
    if (found == nodes_.end() || found->name != name) return std::nullopt;
    return static_cast<std::size_t>(found - nodes_.begin());
  }
  std::size_t dir_count() const override {
    return static_cast<std::size_t>(std::count_if(
        nodes_.begin(), nodes_.end(), [](const FakeNode& node) { return node.type == repo::NodeType::Dir; }));
  }
  std::size_t memory_bytes() const override { return nodes_.size() * sizeof(FakeNode); }

 private:
  std::vector<FakeNode> nodes_;
  std::vector<std::vector<repo::Xattr>> xattrs_;
};

class FakeIndex final : public repo::Index {
 public:
  FakeIndex(std::size_t blobs, std::uint64_t bytes) : blobs_(blobs), bytes_(bytes) {}
  std::size_t blob_count() const override { return blobs_; }
  std::size_t pack_count() const override { return 1; }
  std::size_t memory_bytes() const override { return 0; }
  const std::vector<repo::Id>& files() const override { return files_; }
  const std::vector<repo::UnreadableIndexFile>& unreadable_files() const override { return unreadable_; }
  bool contains(const repo::BlobKey&) const override { return false; }
  std::optional<std::uint32_t> plain_size(const repo::BlobKey&) const override { return std::nullopt; }
  void locate(const repo::BlobKey&, std::vector<repo::BlobPlace>&) const override {}
  void in_pack(std::uint32_t, std::uint64_t, std::uint64_t, std::size_t,
               std::vector<repo::BlobPlace>&) const override {}
  std::uint64_t total_plain_bytes() const override { return bytes_; }
  std::uint64_t total_stored_bytes() const override { return bytes_; }

 private:
  std::size_t blobs_;
  std::uint64_t bytes_;
  std::vector<repo::Id> files_;
  std::vector<repo::UnreadableIndexFile> unreadable_;
};

}  // namespace

class FakeRepository::Slot final : public repo::BlobSlot {
 public:
  explicit Slot(Result<repo::BlobPtr> outcome) : outcome_(std::move(outcome)) {}

  bool ready() const override {
    std::lock_guard lock(mutex_);
    return open_;
  }
  repo::BlobPtr wait() override {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
    return outcome_.value();
  }
  void when_ready(std::function<void()> then) override {
    {
      std::lock_guard lock(mutex_);
      if (!open_) {
        then_.push_back(std::move(then));
        return;
      }
    }
    then();
  }
  void let_go() {
    std::vector<std::function<void()>> then;
    {
      std::lock_guard lock(mutex_);
      open_ = true;
      then.swap(then_);
      opened_.notify_all();
    }
    for (const auto& call : then) call();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  const Result<repo::BlobPtr> outcome_;
  std::vector<std::function<void()>> then_;
};

FakeRepository::FakeRepository() {
  config_.version = 2;
  config_.id = made_up_id(~0ULL);
}
FakeRepository::~FakeRepository() { let_go(); }

repo::Id FakeRepository::made_up_id(std::uint64_t number) {
  // The first bytes are what an id is shown by: they differ first.
  const std::uint64_t spread = number * 0x9e3779b97f4a7c15ULL;
  repo::Id id;
  std::memcpy(id.bytes.data(), &spread, sizeof spread);
  std::memcpy(id.bytes.data() + sizeof spread, &number, sizeof number);
  return id;
}

void FakeRepository::add_blob_as(const repo::Id& id, const std::string& content) {
  auto bytes = std::make_shared<Bytes>(content.begin(), content.end());
  auto blob = std::make_shared<repo::Blob>(repo::Blob{bytes, *bytes, bytes->size()});
  std::lock_guard lock(mutex_);
  blobs_[id] = std::move(blob);
}

repo::Id FakeRepository::add_blob(const std::string& content) {
  const repo::Id id = [this] {
    std::lock_guard lock(mutex_);
    return made_up_id(next_id_++);
  }();
  add_blob_as(id, content);
  return id;
}

repo::Id FakeRepository::add_tree(std::vector<FakeNode> nodes) {
  auto tree = std::make_shared<FakeTree>(std::move(nodes));
  std::lock_guard lock(mutex_);
  const repo::Id id = made_up_id(next_id_++);
  trees_[id] = std::move(tree);
  return id;
}

FakeNode FakeRepository::file(const std::string& name, const std::string& content) {
  FakeNode node;
  node.name = name;
  node.size = content.size();
  if (!content.empty()) node.content = {add_blob(content)};
  return node;
}

FakeNode FakeRepository::folder(const std::string& name, std::vector<FakeNode> nodes) {
  FakeNode node;
  node.name = name;
  node.type = repo::NodeType::Dir;
  node.mode = 0755;
  node.subtree = add_tree(std::move(nodes));
  return node;
}

void FakeRepository::add_snapshot(repo::Snapshot snapshot) {
  std::lock_guard lock(mutex_);
  const auto key = std::pair(snapshot.time, snapshot.id);
  snapshots_[key] = std::move(snapshot);
}

void FakeRepository::remove_snapshot(const repo::Id& id) {
  std::lock_guard lock(mutex_);
  std::erase_if(snapshots_, [&](const auto& entry) { return entry.second.id == id; });
}

void FakeRepository::remove_blob(const repo::Id& id) {
  std::lock_guard lock(mutex_);
  blobs_.erase(id);
  cache_.erase(id);
}

void FakeRepository::fail_with(std::optional<Error> failure) {
  std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
}

void FakeRepository::hold_blobs() {
  std::lock_guard lock(mutex_);
  holding_ = true;
}

void FakeRepository::let_go() {
  std::vector<std::shared_ptr<Slot>> held;
  {
    std::lock_guard lock(mutex_);
    holding_ = false;
    held.swap(held_);
  }
  for (const auto& slot : held) slot->let_go();
}

void FakeRepository::drop_caches() {
  std::lock_guard lock(mutex_);
  cache_.clear();
  tree_cache_.clear();
}

std::vector<FakeRepository::Request> FakeRepository::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}
void FakeRepository::forget_requests() {
  std::lock_guard lock(mutex_);
  requests_.clear();
}
std::vector<repo::Id> FakeRepository::trees_fetched() const {
  std::lock_guard lock(mutex_);
  return trees_fetched_;
}
std::vector<repo::Id> FakeRepository::trees_ahead() const {
  std::lock_guard lock(mutex_);
  return trees_ahead_;
}
std::vector<repo::Id> FakeRepository::retired() const {
  std::lock_guard lock(mutex_);
  return retired_;
}
std::size_t FakeRepository::neighbour_requests() const {
  std::lock_guard lock(mutex_);
  return neighbour_requests_;
}
std::size_t FakeRepository::index_refreshes() const {
  std::lock_guard lock(mutex_);
  return index_refreshes_;
}
std::size_t FakeRepository::listings() const {
  std::lock_guard lock(mutex_);
  return listings_;
}

void FakeRepository::wait_until(const std::function<bool()>& condition) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    std::unique_lock lock(mutex_);
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("the condition never came true");
    changed_.wait_for(lock, std::chrono::milliseconds(5));
  }
}

const repo::Crypto& FakeRepository::crypto() const {
  throw std::logic_error("a fake repository has no keys");
}
transport::Backend& FakeRepository::backend() { throw std::logic_error("a fake repository has no backend"); }
repo::CpuPool& FakeRepository::pool() { throw std::logic_error("a fake repository has no pool"); }

std::shared_ptr<const repo::Index> FakeRepository::index() const {
  std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& [id, blob] : blobs_) bytes += blob->bytes.size();
  return std::make_shared<FakeIndex>(blobs_.size() + trees_.size(), bytes);
}

void FakeRepository::refresh_index() {
  std::lock_guard lock(mutex_);
  ++index_refreshes_;
  asked();
}

repo::SnapshotList FakeRepository::snapshots() {
  std::lock_guard lock(mutex_);
  ++listings_;
  asked();
  if (failure_) throw Error(*failure_);
  repo::SnapshotList list;
  for (const auto& [key, snapshot] : snapshots_) list.snapshots.push_back(snapshot);
  return list;
}

void FakeRepository::stop_reading() { fail_with(Error(Errc::Cancelled, "reading was stopped")); }

repo::TreePtr FakeRepository::tree(const repo::Id& id) {
  std::lock_guard lock(mutex_);
  if (const auto known = tree_cache_.find(id); known != tree_cache_.end()) return known->second;
  trees_fetched_.push_back(id);
  asked();
  if (failure_) throw Error(*failure_);
  const auto found = trees_.find(id);
  if (found == trees_.end()) throw Error(Errc::NotFound, "no index names the tree " + id.hex());
  tree_cache_[id] = found->second;
  return found->second;
}

repo::TreePtr FakeRepository::cached_tree(const repo::Id& id) {
  std::lock_guard lock(mutex_);
  const auto known = tree_cache_.find(id);
  return known == tree_cache_.end() ? nullptr : known->second;
}

void FakeRepository::tree_ahead(std::span<const repo::Id> ids) {
  std::lock_guard lock(mutex_);
  trees_ahead_.insert(trees_ahead_.end(), ids.begin(), ids.end());
  asked();
}

repo::BlobPtr FakeRepository::cached(const repo::BlobKey& key) {
  std::lock_guard lock(mutex_);
  const auto known = cache_.find(key.id);
  return known == cache_.end() ? nullptr : known->second;
}

std::vector<repo::BlobSlotPtr> FakeRepository::request(std::span<const repo::BlobKey> keys,
                                                       transport::Urgency urgency) {
  std::vector<repo::BlobSlotPtr> slots;
  std::vector<std::shared_ptr<Slot>> open;
  {
    std::lock_guard lock(mutex_);
    Request request{{}, urgency};
    for (const auto& key : keys) {
      request.ids.push_back(key.id);
      const auto found = blobs_.find(key.id);
      Result<repo::BlobPtr> outcome = found == blobs_.end()
                                          ? Result<repo::BlobPtr>(Error(Errc::NotFound, "no such blob"))
                                          : Result<repo::BlobPtr>(found->second);
      if (failure_) outcome = Error(*failure_);
      // What is held has not arrived yet: nobody may find it before it is let go.
      if (outcome.ok() && !holding_) cache_[key.id] = outcome.value();
      auto slot = std::make_shared<Slot>(std::move(outcome));
      (holding_ ? held_ : open).push_back(slot);
      slots.push_back(std::move(slot));
    }
    requests_.push_back(std::move(request));
    asked();
  }
  for (const auto& slot : open) slot->let_go();
  return slots;
}

void FakeRepository::request_neighbours(const repo::BlobKey&, std::uint64_t) {
  std::lock_guard lock(mutex_);
  ++neighbour_requests_;
  asked();
}

void FakeRepository::retire(const repo::BlobKey& key) {
  std::lock_guard lock(mutex_);
  retired_.push_back(key.id);
}

std::optional<std::uint32_t> FakeRepository::plain_size(const repo::BlobKey& key) {
  std::lock_guard lock(mutex_);
  const auto found = blobs_.find(key.id);
  if (found == blobs_.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found->second->bytes.size());
}

}  // namespace restic::test
