// SPDX-License-Identifier: MIT
#include "repo/index_check.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "repo/blob_decoder.h"
#include "repo/crypto.h"
#include "repo/fetch_plan.h"
#include "repo/tree.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

using transport::Answer;

// Trees in one round of requests, and how near each other they are fetched as one.
constexpr std::size_t kTreesAtOnce = 256;
constexpr FetchLimits kLimits{256U << 10U, 256U << 10U, 1U << 20U};
// Ids of trees not to be looked at twice.
constexpr std::size_t kMaxSeen = 1U << 18U;

class IndexCheck {
 public:
  IndexCheck(Repository& repository, const Index& index, Unreadable unreadable, const std::stop_token& stop)
      : repository_(repository), index_(index), unreadable_(unreadable), stop_(stop) {}

  bool run(const Id& root) {
    pending_.push_back(root);
    // Something missing must not hide what cannot be read.
    while (!pending_.empty() && (complete_ || unreadable_ == Unreadable::Failure)) {
      // The last found first: that goes deep, so little waits.
      const auto first =
          pending_.end() - static_cast<std::ptrdiff_t>(std::min(pending_.size(), kTreesAtOnce));
      const std::vector<Id> trees(first, pending_.end());
      pending_.erase(first, pending_.end());
      check(trees);
    }
    return complete_;
  }

 private:
  void check(const std::vector<Id>& trees) {
    std::vector<BlobPlace> places, copies;
    for (const Id& id : trees) {
      copies.clear();
      index_.locate({BlobType::Tree, id}, copies);
      if (copies.empty()) {
        missing(id, "it is not in the index");
      } else if (const auto reason = implausible(copies.front().blob)) {
        unreadable(id, copies.front().pack, *reason);
      } else {
        places.push_back(copies.front());
      }
    }
    const std::vector<PlannedRange> ranges = plan_fetch(places, kLimits);
    const std::size_t at_once = std::max(1U, repository_.backend().parallelism());
    for (std::size_t begin = 0; begin < ranges.size(); begin += at_once) {
      if (stop_.stop_requested()) throw Error(Errc::Cancelled, "stopped while looking for what is stored");
      std::vector<Answer<Bytes>> loads;
      for (std::size_t i = begin; i < std::min(ranges.size(), begin + at_once); ++i) {
        loads.push_back(load(ranges[i]));
      }
      for (std::size_t i = 0; i < loads.size(); ++i) {
        check_range(ranges[begin + i], places, loads[i]);
      }
    }
  }

  Answer<Bytes> load(const PlannedRange& range) {
    Answer<Bytes> answer;
    repository_.backend().load_range({transport::FileType::Pack, range.pack.hex()}, range.range,
                                     transport::Urgency::Ahead, answer.done());
    return answer;
  }

  void check_range(const PlannedRange& range, const std::vector<BlobPlace>& places, Answer<Bytes>& loaded) {
    const auto bytes = std::make_shared<Bytes>();
    try {
      *bytes = loaded.wait(stop_);
    } catch (const Error& error) {
      return unreadable(places[range.blobs.front()].blob.key.id, range.pack, error);
    }
    std::vector<SealedBlob> sealed;
    for (const std::size_t position : range.blobs) {
      const PackedBlob& blob = places[position].blob;
      sealed.push_back({blob, std::span(*bytes).subspan(blob.offset - range.range.offset, blob.length)});
    }
    BlobDecoder decoder(repository_.crypto(), repository_.pool());
    std::exception_ptr problem;
    decoder.decode(sealed, bytes, [&](std::size_t position, const Result<BlobPtr>& plain) {
      if (problem) return;
      const Id& tree = sealed[position].blob.key.id;
      try {
        if (!plain.ok()) return unreadable(tree, range.pack, plain.error());
        check_tree(tree, plain.value()->bytes);
      } catch (...) {
        problem = std::current_exception();
      }
    });
    if (problem) std::rethrow_exception(problem);
  }

  void check_tree(const Id& id, ByteView blob) {
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
      if (!has_content) missing(id, "not all content of its files is in the index");
      if (node.type != NodeType::Dir) continue;
      if (!node.subtree) {
        missing(id, "a folder in it has no tree");
      } else if (is_new(*node.subtree)) {
        pending_.push_back(*node.subtree);
      }
    }
  }

  bool is_new(const Id& tree) {
    if (seen_.size() < kMaxSeen) return seen_.insert(tree).second;
    return !seen_.contains(tree);
  }

  void missing(const Id& tree, const std::string& why) {
    if (!std::exchange(complete_, false)) return;
    repository_.log().info("tree " + tree.short_hex() + " has to be stored again: " + why);
  }

  void unreadable(const Id& tree, const Id& pack, const Error& why) {
    if (why.code() != Errc::NotFound && why.code() != Errc::Damaged) throw Error(why);
    if (unreadable_ == Unreadable::Missing) return missing(tree, why.what());
    const std::string remedy = why.code() == Errc::NotFound
                                   ? "`restic repair index` (older: `restic rebuild-index`)"
                                   : "`restic repair packs " + pack.hex() + "`, then `restic repair index`";
    throw Error(Errc::Damaged, "tree " + tree.short_hex() + " of an earlier try cannot be read (" +
                                   why.what() + "); the index names a pack that cannot be read, " +
                                   pack.hex() + ": run " + remedy + "; the drop is kept");
  }

  Repository& repository_;
  const Index& index_;
  const Unreadable unreadable_;
  const std::stop_token stop_;
  bool complete_ = true;
  std::vector<Id> pending_;
  std::unordered_set<Id, IdHash> seen_;
};

}  // namespace

bool has_everything(Repository& repository, const Index& index, const Id& tree, Unreadable unreadable,
                    const std::stop_token& stop) {
  return IndexCheck(repository, index, unreadable, stop).run(tree);
}

}  // namespace restic::repo
