// SPDX-License-Identifier: MIT
#include "repo/index_check.h"

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "repo/blob_decoder.h"
#include "repo/crypto.h"
#include "repo/fetch_plan.h"
#include "repo/tree.h"

namespace restic::repo {
namespace {

// Trees in one round of requests, and how near each other they are fetched as one.
constexpr std::size_t kTreesAtOnce = 256;
constexpr FetchLimits kLimits{256U << 10U, 256U << 10U, 1U << 20U};
// Ids of trees not to be looked at twice.
constexpr std::size_t kMaxSeen = 1U << 18U;

class IndexCheck {
 public:
  IndexCheck(Repository& repository, const Index& index, const std::stop_token& stop)
      : repository_(repository), index_(index), stop_(stop) {}

  bool run(const Id& root) {
    pending_.push_back(root);
    while (!pending_.empty()) {
      // The last found first: that goes deep, so little waits.
      const auto first =
          pending_.end() - static_cast<std::ptrdiff_t>(std::min(pending_.size(), kTreesAtOnce));
      const std::vector<Id> trees(first, pending_.end());
      pending_.erase(first, pending_.end());
      if (!check(trees)) return false;
    }
    return true;
  }

 private:
  bool check(const std::vector<Id>& trees) {
    std::vector<BlobPlace> places, copies;
    for (const Id& id : trees) {
      copies.clear();
      index_.locate({BlobType::Tree, id}, copies);
      if (copies.empty()) return missing(id, "it is not in the index");
      if (const auto reason = implausible(copies.front().blob)) return missing(id, reason->what());
      places.push_back(copies.front());
    }
    const std::vector<PlannedRange> ranges = plan_fetch(places, kLimits);
    const std::size_t at_once = std::max(1U, repository_.backend().parallelism());
    for (std::size_t begin = 0; begin < ranges.size(); begin += at_once) {
      if (stop_.stop_requested()) throw Error(Errc::Cancelled, "stopped while looking for what is stored");
      std::vector<std::future<Result<Bytes>>> loads;
      for (std::size_t i = begin; i < std::min(ranges.size(), begin + at_once); ++i) {
        loads.push_back(load(ranges[i]));
      }
      for (std::size_t i = 0; i < loads.size(); ++i) {
        if (!check_range(ranges[begin + i], places, loads[i].get())) return false;
      }
    }
    return true;
  }

  std::future<Result<Bytes>> load(const PlannedRange& range) {
    auto promise = std::make_shared<std::promise<Result<Bytes>>>();
    repository_.backend().load_range(
        {transport::FileType::Pack, range.pack.hex()}, range.range, transport::Urgency::Ahead,
        [promise](Result<Bytes> result) { promise->set_value(std::move(result)); });
    return promise->get_future();
  }

  bool check_range(const PlannedRange& range, const std::vector<BlobPlace>& places, Result<Bytes> loaded) {
    if (!loaded.ok()) {
      const Errc code = loaded.error().code();
      if (code != Errc::NotFound && code != Errc::Damaged) throw Error(loaded.error());
      return missing(places[range.blobs.front()].blob.key.id, loaded.error().what());
    }
    const auto bytes = std::make_shared<Bytes>(loaded.take());
    for (const std::size_t position : range.blobs) {
      const PackedBlob& blob = places[position].blob;
      const std::span sealed = std::span(*bytes).subspan(blob.offset - range.range.offset, blob.length);
      const Result<BlobPtr> plain = decode_blob(repository_.crypto(), blob, sealed, bytes);
      if (!plain.ok()) return missing(blob.key.id, plain.error().what());
      if (!check_tree(blob.key.id, plain.value()->bytes)) return false;
    }
    return true;
  }

  bool check_tree(const Id& id, ByteView blob) {
    TreePtr tree;
    try {
      tree = decode_tree(blob);
    } catch (const Error& error) {
      return missing(id, error.what());
    }
    for (std::size_t i = 0; i < tree->size(); ++i) {
      const Node node = tree->node(i);
      const bool has_content = std::ranges::all_of(node.content, [this](const Id& chunk) {
        return index_.contains({BlobType::Data, chunk});
      });
      if (!has_content) return missing(id, "not all content of its files is in the index");
      if (node.type != NodeType::Dir) continue;
      if (!node.subtree) return missing(id, "a folder in it has no tree");
      if (is_new(*node.subtree)) pending_.push_back(*node.subtree);
    }
    return true;
  }

  bool is_new(const Id& tree) {
    if (seen_.size() < kMaxSeen) return seen_.insert(tree).second;
    return !seen_.contains(tree);
  }

  bool missing(const Id& tree, const std::string& why) {
    repository_.log().info("tree " + tree.short_hex() + " has to be stored again: " + why);
    return false;
  }

  Repository& repository_;
  const Index& index_;
  const std::stop_token stop_;
  std::vector<Id> pending_;
  std::unordered_set<Id, IdHash> seen_;
};

}  // namespace

bool has_everything(Repository& repository, const Index& index, const Id& tree, const std::stop_token& stop) {
  return IndexCheck(repository, index, stop).run(tree);
}

}  // namespace restic::repo
