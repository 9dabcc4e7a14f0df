// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"

namespace restic::fs {

class Vfs;
class Branch;

struct SessionOptions {
  std::string source;      // shown by mount(8) and df: the REPOSITORY argument
  std::string mountpoint;  // absolute
  bool read_only = false;  // the whole mount refuses writes: no branch may be given
  // Other users may enter. Then the kernel checks modes, owners and ACLs as recorded, asked for or not: a
  // backup holds what its users may not see of each other.
  bool allow_other = false, allow_root = false, default_permissions = false;
  std::vector<std::string> mount_flags;  // of mount(8), for the kernel: noexec, nosuid, …
  bool debug = false;                    // log every request on stderr
  unsigned threads = 16;                 // FUSE workers at most
};

// The FUSE session: mounts, serves, unmounts. One object a process. Not thread-safe but for `stop`.
class Session {
 public:
  // `branch` null: nothing can be written. Both must outlive the session.
  Session(Vfs& vfs, Branch* branch, SessionOptions options, Log& log);
  ~Session();  // unmounts if still mounted
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Mounts; throws Error with the reason in a sentence. Starts no thread.
  void mount();
  // Serves until unmounted from outside or `stop()`. `ready` runs on the calling thread once requests are
  // being answered; what it throws ends the serving and is thrown on. Blocks; returns when all workers have
  // ended, and nothing is mounted any more. True: it was unmounted, so nobody had anything open.
  bool run(const std::function<void()>& ready);
  // Ends `run` soon. Async-signal-safe; may come at any time in the life of the object.
  void stop() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::fs
