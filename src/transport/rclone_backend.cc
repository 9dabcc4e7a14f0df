// SPDX-License-Identifier: MIT
#include "transport/rclone_backend.h"

#include <utility>

#include "transport/blocking.h"

namespace restic::transport {
namespace {

RcloneCommand with_remote(RcloneCommand command, const std::string& remote) {
  command.arguments.push_back(remote);
  return command;
}

}  // namespace

RcloneBackend::RcloneBackend(RcloneCommand command, std::string remote, const RcloneLimits& limits,
                             const RestLimits& rest, Log& log)
    : remote_(std::move(remote)),
      rclone_(std::make_unique<RcloneSupervisor>(with_remote(std::move(command), remote_), limits, log)) {
  rest_ = std::make_unique<RestBackend>(*rclone_, rest);
  wait_until_it_answers();
}

void RcloneBackend::wait_until_it_answers() {
  try {
    await<Unit>([this](StatusDone done) { rest_->probe(std::move(done)); });
  } catch (const Error& error) {
    if (error.code() == Errc::Timeout) {
      throw Error(error.code(), "cannot open " + remote_ + ": rclone gives no answer");
    }
    if (error.code() != Errc::Unavailable) throw;
    const Error reason = rclone_->first_failure().value_or(error);
    if (reason.code() == Errc::Usage) throw Error(reason);
    throw Error(reason.code(), "cannot open " + remote_ + ": " + reason.what());
  }
}

void RcloneBackend::load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) {
  rest_->load(file, limit, urgency, std::move(done));
}

void RcloneBackend::load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) {
  rest_->load_range(file, range, urgency, std::move(done));
}

void RcloneBackend::load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                        const OnArriving& arriving, LoadDone done) {
  rest_->load_range_arriving(file, range, urgency, arriving, std::move(done));
}

void RcloneBackend::list(FileType type, ListDone done) { rest_->list(type, std::move(done)); }

void RcloneBackend::save(const FileName& file, SharedContent content, StatusDone done) {
  rest_->save(file, std::move(content), std::move(done));
}

void RcloneBackend::remove(const FileName& file, StatusDone done) { rest_->remove(file, std::move(done)); }

void RcloneBackend::create(StatusDone done) { rest_->create(std::move(done)); }

std::string RcloneBackend::describe() const { return "rclone " + remote_ + " " + rclone_->describe(); }

}  // namespace restic::transport
