// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.h"

namespace restic::fs {

class Vfs;
class Staging;

struct SessionOptions {
  std::string source;      // shown by mount(8) and df: the REPOSITORY argument
  std::string mountpoint;  // absolute
  bool read_only = false;  // ro: no new/
  bool allow_other = false, allow_root = false, default_permissions = false;
  bool debug = false;       // log every request
  unsigned threads = 16;    // FUSE workers at most
};

// The FUSE session: mounts, serves, unmounts. One object a process.
class Session {
 public:
  // `staging` null: no new/. Both must outlive the session.
  Session(Vfs& vfs, Staging* staging, SessionOptions options, Log& log);
  ~Session();  // unmounts if still mounted
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Mounts; throws Error with the reason in a sentence. Starts no thread.
  void mount();
  // Serves until unmounted from outside or `stop()`; `ready` runs once requests are being answered. Blocks; returns
  // when all workers have ended.
  void run(const std::function<void()>& ready);
  // Ends `run` soon. Async-signal-safe.
  void stop() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic::fs
