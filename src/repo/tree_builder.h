// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "repo/tree.h"

namespace restic::repo {

// Collects nodes into a Tree. Nodes may come in any order; of those with the same name the first stays.
// Everything a node points to is copied. Use once; not thread-safe.
class TreeBuilder {
 public:
  // `expected_bytes`: how much text is about to come, to grow once; 0 if unknown.
  explicit TreeBuilder(std::size_t expected_bytes = 0);
  ~TreeBuilder();
  TreeBuilder(const TreeBuilder&) = delete;
  TreeBuilder& operator=(const TreeBuilder&) = delete;

  // Throws Error{Damaged} when the tree outgrows 4 GiB of text or 2^32 nodes or ids.
  void add(const Node& node);
  TreePtr finish();

 private:
  class CompactTree;
  std::shared_ptr<CompactTree> tree_;
};

}  // namespace restic::repo
