// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "transport/backend.h"
#include "transport/first_look.h"
#include "transport/http.h"

namespace restic::transport {

struct RestLimits {
  unsigned parallelism = 48;                            // as many as the channel keeps in flight
  std::uint64_t list_body = std::uint64_t{256} << 20U;  // bytes of one list's JSON: three million names
  HttpDeadline read{std::chrono::seconds(30), std::chrono::minutes(15)};
  // rclone lists a whole folder before it says the first word.
  HttpDeadline list{std::chrono::minutes(2), std::chrono::minutes(15)};
  // rclone answers after the remote has the file, which may be long after it has all of the bytes.
  HttpDeadline write{std::chrono::minutes(5), std::chrono::hours(1)};
};

// restic's REST protocol (version 2 of it, as `rclone serve restic` speaks it) over a channel: GET, POST,
// DELETE of /config, /keys/<id>, /locks/<id>, /snapshots/<id>, /index/<id>, /data/<id>, and GET of a folder
// for its list. Thread-safe; completions run on the channel's thread.
//
// One answer of rclone proves little, so:
// - A 404 may be any error. It becomes NotFound only after a second witness: for a key, lock, snapshot or
//   index file a fresh list of its folder without it; for the config a good list of the keys, and for a pack
//   (data/ is never listed on a read path, it may hold a million files) a good GET of the config, followed by
//   a second 404 of the file itself. Whatever else comes back makes it Unavailable.
// - A DELETE answered 5xx may be of a file that rclone remembers and that is gone. For a key, lock, snapshot
//   or index file a fresh list decides whether it is.
// - A folder that is not there has an empty list. Once the config was seen, an empty list is only believed
//   when a GET of the config finds it still there, and comes once more after that.
// - A 2xx body can end early: its bytes are counted against the range that was asked for and the length that
//   was announced.
// - A POST overwrites silently: a config is looked for first, and only written when it is NotFound.
// - A POST answered 403 may have been done by an earlier attempt whose answer was lost (append-only servers
//   refuse the second one): the file is read back, and counts as saved when its bytes are equal.
// - Ranges of a file asked for ahead wait until the answer to the first one begins (FirstLook).
class RestBackend : public Backend {
 public:
  // `channel` must outlive the backend, and must have completed or cancelled everything before it goes.
  RestBackend(HttpChannel& channel, const RestLimits& limits);

  void load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) override;
  void load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) override;
  void load_range_arriving(const FileName& file, ByteRange range, Urgency urgency, const OnArriving& arriving,
                           LoadDone done) override;
  void list(FileType type, ListDone done) override;
  void save(const FileName& file, SharedContent content, StatusDone done) override;
  void remove(const FileName& file, StatusDone done) override;
  void create(StatusDone done) override;
  unsigned parallelism() const override { return limits_.parallelism; }
  std::string describe() const override { return "REST server"; }

  // One GET of a name that cannot exist: any answer below 500 says that the server serves.
  void probe(StatusDone done);

 private:
  HttpRequest request(const char* method, std::string path, const HttpDeadline& deadline) const;
  void get(HttpRequest request, const FileName& file, LoadDone done);
  void look(const std::string& path, HttpRequest wanted, const FileName& file, const LoadDone& done);
  void post(const FileName& file, const SharedContent& content, StatusDone done);
  void compare_saved(const FileName& file, const SharedContent& content, const Error& refusal,
                     StatusDone done);
  void confirm_missing(const FileName& file, std::function<void(Error)> done);
  void confirm_removed(const FileName& file, const Error& refusal, const StatusDone& done);
  void confirm_by_list(const FileName& file, std::function<void(Error)> done);
  void list_once(FileType type, ListDone done);
  void confirm_empty(FileType type, const ListDone& done);
  HttpRequest list_request(FileType type) const;
  HttpRequest config_request() const;
  void ask_again(const FileName& file, std::function<void(Error)> done);
  // Completes a call that makes no sense with the reason, on the channel's thread as every other.
  void refuse(const Error& reason, std::function<void(Error)> done);

  HttpChannel& channel_;
  const RestLimits limits_;
  std::atomic<bool> seen_config_{false};
  FirstLook first_look_;
};

}  // namespace restic::transport
