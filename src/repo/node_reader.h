// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "repo/tree.h"

namespace restic::repo {

// Something in the local folder cannot be read; the message names it. Set apart from the repository's own Io
// errors, for a snapshot can be made without it.
class UnreadableError : public Error {
 public:
  UnreadableError(const std::string& path, int error_number);
  // Whether it says nothing of the file but of this machine now: too little memory, too many open files.
  bool passes() const { return passes_; }

 private:
  bool passes_;
};

// A Node that owns what it points to.
struct OwnedNode {
  Node facts;  // numbers, times, subtree; `user` and `group` point into a UserNames
  std::string name, link_target;
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::vector<Id> content;

  // Valid as long as this object and `xattr_views` stay as they are.
  Node view(std::vector<Xattr>& xattr_views) const;
};

// Names of users and groups by number, each asked of the system once; "" where there is none. Thread-safe;
// blocks on the user database.
class UserNames {
 public:
  std::string_view user(uid_t uid);
  std::string_view group(gid_t gid);

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::string> users_, groups_;
};

Timestamp to_timestamp(const timespec& time);

// Reads what restic records of a file, except its content (FORMAT: trees and nodes). Throws UnreadableError.

// Of something that is open.
OwnedNode read_node(int fd, const struct stat& facts, const std::string& name, const std::string& path,
                    UserNames& users);
// Of something that need not or must not be opened: a link is itself, not its target.
OwnedNode read_node_at(int folder_fd, const struct stat& facts, const std::string& name,
                       const std::string& path, UserNames& users);

}  // namespace restic::repo
