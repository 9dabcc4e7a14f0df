// SPDX-License-Identifier: MIT
// For the .cc files of this room only: it includes the FUSE headers.
#pragma once

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <new>

#include "base/error.h"
#include "base/log.h"
#include "fs/branch.h"
#include "fs/fuse_errno.h"
#include "fs/open_handles.h"
#include "fs/vfs.h"

namespace restic::fs {

// What every operation gets as fuse_req_userdata.
struct OpsContext {
  Vfs& vfs;
  Branch* branch;  // null: none
  Log& log;
  OpenHandles handles{};
  std::function<void()>
      about_to_wait{};  // before a request waits for the network; set before the first comes
  // The kernel must ask for them again. Set likewise.
  std::function<void(NodeId)> attributes_changed{};
};

inline OpsContext& context_of(fuse_req_t req) { return *static_cast<OpsContext*>(fuse_req_userdata(req)); }

// The operations of the read-only tree: what reads is answered from the Vfs, what writes is EROFS.
const fuse_lowlevel_ops& vfs_operations();

// The operations the session is made with: each goes to the branch's table when its node has kBranchBit, else
// to vfs_operations(). An operation that a table lacks is ENOSYS.
fuse_lowlevel_ops routed_operations();

// Runs the body of an operation and turns what it throws into the reply's errno. The body replies last, so
// nothing throws after the reply.
template <class Body>
void answer(fuse_req_t req, Body&& body) noexcept {
  try {
    body();
  } catch (const Error& failure) {
    const bool expected = failure.code() == Errc::Cancelled;
    context_of(req).log.write(expected ? LogLevel::Debug : LogLevel::Warning, failure.what());
    fuse_reply_err(req, errno_of(failure.code()));
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
  } catch (const std::exception& failure) {
    context_of(req).log.error(failure.what());
    fuse_reply_err(req, EIO);
  }
}

// What the kernel is told of a node.
fuse_entry_param entry_param(const Entry& entry);

}  // namespace restic::fs
