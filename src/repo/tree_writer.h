// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "repo/timestamp.h"
#include "repo/tree.h"

namespace restic::repo {

// Writes a tree blob byte for byte as restic >= 0.17 does on a machine with the same time zone, so that equal
// folders get equal ids and cost nothing (FORMAT: trees and nodes). Not thread-safe; one for each tree.
class TreeWriter {
 public:
  // `zone` must outlive the writer.
  explicit TreeWriter(const Zone& zone);

  // Names must ascend strictly by their bytes: throws Error{Usage} otherwise. A Dir must have its subtree.
  // Only a File's content and size are written, xattrs in the order given.
  void add(const Node& node);

  // The blob, with its closing newline.
  std::string finish();

 private:
  const Zone& zone_;
  std::string text_;
  std::string last_name_;
  std::string quoted_;  // the last name as it is stored
  bool empty_ = true;
};

}  // namespace restic::repo
