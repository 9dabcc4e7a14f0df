// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "transport/rclone_supervisor.h"
#include "transport/rest_backend.h"

namespace restic::transport {

// A repository behind any remote of rclone: RestBackend over the standard streams of one `rclone serve restic
// --stdio`, which is started again when it dies. It does not repeat a call by itself: put a RetryBackend on
// top.
class RcloneBackend : public Backend {
 public:
  // `remote` is REMOTE:PATH and becomes the last argument. Blocks until rclone has answered a first request.
  // Throws Error{Usage} when rclone is missing, and Unavailable with rclone's own words when it ends before
  // that.
  RcloneBackend(RcloneCommand command, std::string remote, const RcloneLimits& limits, const RestLimits& rest,
                Log& log);
  // Cancels what is under way and ends rclone.
  ~RcloneBackend() override = default;

  void load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) override;
  void load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) override;
  void load_range_arriving(const FileName& file, ByteRange range, Urgency urgency, const OnArriving& arriving,
                           LoadDone done) override;
  void list(FileType type, ListDone done) override;
  void save(const FileName& file, SharedContent content, StatusDone done) override;
  void remove(const FileName& file, StatusDone done) override;
  void create(StatusDone done) override;
  unsigned parallelism() const override { return rest_->parallelism(); }
  std::string describe() const override;

  pid_t rclone_pid() const { return rclone_->pid(); }

 private:
  void wait_until_it_answers();

  const std::string remote_;
  // Completions of the supervisor's requests call into the REST backend: it goes last.
  std::unique_ptr<RestBackend> rest_;
  std::unique_ptr<RcloneSupervisor> rclone_;
};

}  // namespace restic::transport
