// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "base/error.h"

namespace restic {
namespace {

spdlog::level::level_enum spd_level(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      break;
  }
  return spdlog::level::err;
}

spdlog::sink_ptr make_sink(Log::Sink sink, const std::string& file) {
  if (!file.empty()) return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  switch (sink) {
    case Log::Sink::Stderr:
      return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    case Log::Sink::Syslog:
      return std::make_shared<spdlog::sinks::syslog_sink_mt>("mount.restic", 0, LOG_DAEMON, false);
    case Log::Sink::Nothing:
      break;
  }
  return std::make_shared<spdlog::sinks::null_sink_mt>();
}

}  // namespace

struct Log::Impl {
  explicit Impl(spdlog::sink_ptr sink) : logger("mount.restic", std::move(sink)) {}
  spdlog::logger logger;
  mutable std::mutex mutex;
  std::string last_problem;
};

Log::Log(Sink sink, LogLevel level, const std::string& file) {
  try {
    impl_ = std::make_unique<Impl>(make_sink(sink, file));
  } catch (const spdlog::spdlog_ex& failure) {
    throw Error(Errc::Io, "cannot open the log file " + file + ": " + failure.what());
  }
  impl_->logger.set_level(spd_level(level));
  impl_->logger.flush_on(spdlog::level::info);
  if (file.empty() && sink == Sink::Stderr) impl_->logger.set_pattern("mount.restic: %l: %v");
}

Log::~Log() = default;

bool Log::wants(LogLevel level) const noexcept { return impl_->logger.should_log(spd_level(level)); }

void Log::write(LogLevel level, std::string_view message) noexcept {
  if (level >= LogLevel::Warning) {
    std::lock_guard lock(impl_->mutex);
    impl_->last_problem = message;
  }
  impl_->logger.log(spd_level(level), "{}", message);
}

std::string Log::last_problem() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->last_problem;
}

}  // namespace restic
