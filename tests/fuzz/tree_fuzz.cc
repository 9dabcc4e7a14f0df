// SPDX-License-Identifier: MIT
// Any bytes decode as a tree or fail as Damaged; what decodes can be shown, found and written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "repo/timestamp.h"
#include "repo/tree.h"
#include "repo/tree_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using restic::repo::Node;
  restic::repo::TreePtr tree;
  try {
    tree = restic::repo::decode_tree({data, size});
  } catch (const restic::Error& error) {
    if (error.code() != restic::Errc::Damaged) std::abort();
    return 0;
  }
  const restic::repo::FixedZone utc;
  restic::repo::TreeWriter writer(utc);
  for (std::size_t i = 0; i < tree->size(); ++i) {
    Node node = tree->node(i);
    if (tree->find(node.name) != i) std::abort();
    if (node.type == restic::repo::NodeType::Dir && !node.subtree) node.subtree.emplace();
    writer.add(node);
  }
  const std::string text = writer.finish();
  if (restic::repo::decode_tree(restic::as_bytes(text))->size() != tree->size()) std::abort();
  return 0;
}
