// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace restic {

enum class LogLevel { Debug, Info, Warning, Error };

// Where the details go: a file, stderr, or (after daemonizing without a file) syslog. Thread-safe; a call may
// block on the disk, so nothing on a hot path logs above Debug, and Debug costs one relaxed load when it is
// off. Messages never contain keys, passwords or file content. Built once by tools/ and handed down by
// reference.
class Log {
 public:
  enum class Sink { Stderr, Syslog, Nothing };
  // `sink` is used when `file` is empty. Throws Error{Io} when the file cannot be opened for appending.
  explicit Log(Sink sink, LogLevel level = LogLevel::Info, const std::string& file = {});
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool wants(LogLevel level) const noexcept;
  void write(LogLevel level, std::string_view message) noexcept;
  void debug(std::string_view message) noexcept { write(LogLevel::Debug, message); }
  void info(std::string_view message) noexcept { write(LogLevel::Info, message); }
  void warning(std::string_view message) noexcept { write(LogLevel::Warning, message); }
  void error(std::string_view message) noexcept { write(LogLevel::Error, message); }

  // The newest Warning or Error, for `.status`; empty when there was none.
  std::string last_problem() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace restic
