// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>

#include <string>

namespace restic::repo {

// What a walk over a local folder meets. Names are raw bytes; `path` is relative to the walk's start and for
// messages.
class FolderVisitor {
 public:
  virtual ~FolderVisitor() = default;
  // A folder below the start, about to be entered; `fd` is open on it for the time of the call. Its entries
  // follow, then leave_folder(); after false neither does.
  virtual bool enter_folder(int fd, const std::string& name, const std::string& path) = 0;
  virtual void leave_folder() = 0;
  // Anything else, in the folder that `folder_fd` is open on. Links are not followed.
  virtual void visit(int folder_fd, const std::string& name, const struct stat& facts,
                     const std::string& path) = 0;
  // A name that could not be looked at, or a folder that could not be opened or listed; the walk goes on
  // without it. For a folder that was entered, leave_folder() still follows.
  virtual void unreadable(const std::string& path, int error_number) = 0;
};

// Goes through everything below the folder, depth first, the entries of each folder ascending by the bytes of
// their names (the order of a tree). Opens each folder relative to its parent and never follows a link, so
// nothing outside is reached whatever changes meanwhile. Needs few descriptors at any depth, and no stack.
// What a visitor throws ends the walk; so does Error{Io} when a folder was moved away from under it.
void walk_folder(int folder_fd, FolderVisitor& visitor);

}  // namespace restic::repo
