// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

#include "fs/vfs.h"

struct fuse_lowlevel_ops;

namespace restic::fs {

// Node ids with this bit belong to the branch, all others to the Vfs: every request is routed by it.
inline constexpr NodeId kBranchBit = NodeId{1} << 63U;

// A folder in the root with operations of its own, such as `new/`. The session sends every request on a node
// with kBranchBit to `operations()`; `fuse_req_userdata` of such a request is the OpsContext of fs/ops.h,
// whose `branch` is this object. A rename or link between the branch and the rest never arrives: it is
// answered EXDEV.
class Branch {
 public:
  virtual ~Branch() = default;
  virtual std::string name() const = 0;
  // The folder itself: its node id (which is never forgotten, so showing it counts no lookup) and attributes.
  // Called by any thread; does not block on the network.
  virtual Entry root() = 0;
  virtual const ::fuse_lowlevel_ops& operations() const = 0;

  // Called once the session serves, with the way to tell the kernel that a name in a folder now means
  // something else. That way may be used until stop() returns, by any thread that does not answer a request
  // just then.
  using Invalidate = std::function<void(NodeId folder, const std::string& name)>;
  virtual void start(Invalidate invalidate) = 0;
  virtual void stop() = 0;
  // Before stop() where the mount ends while it may be in use: waits a moment for what is just being closed.
  virtual void settle() = 0;
};

}  // namespace restic::fs
