// SPDX-License-Identifier: MIT
#include "repo/lock_file.h"

#include "base/error.h"
#include "repo/json_reader.h"
#include "repo/json_writer.h"

namespace restic::repo {
namespace {

ZonedTime get_time(json::value& value, const std::string& what) {
  const std::optional<ZonedTime> time = parse_time(get_string(value));
  if (!time) throw Error(Errc::Damaged, what + ": has a malformed time");
  return *time;
}

}  // namespace

LockInfo decode_lock(ByteView text, const std::string& what) {
  LockInfo lock;
  decode_json(text, what, [&](json::document& document) {
    for_each_member(document.get_object(), [&](std::string_view name, json::value& value) {
      if (name == "time") lock.time = get_time(value, what);
      if (name == "exclusive") lock.exclusive = bool(value);
      if (name == "hostname") lock.owner.hostname = get_string(value);
      if (name == "username") lock.owner.username = get_string(value);
      if (name == "pid") lock.pid = get_uint64(value);
      if (name == "uid") lock.owner.uid = get_uint32(value);
      if (name == "gid") lock.owner.gid = get_uint32(value);
    });
  });
  return lock;
}

std::string encode_lock(const LockInfo& lock) {
  JsonWriter json;
  json.begin_object();
  json.key("time").string(format_time(lock.time.time, FixedZone(lock.time.zone_seconds)));
  json.key("exclusive").boolean(lock.exclusive);
  json.key("hostname").string(lock.owner.hostname);
  json.key("username").string(lock.owner.username);
  json.key("pid").number(lock.pid);
  if (lock.owner.uid != 0) json.key("uid").number(lock.owner.uid);
  if (lock.owner.gid != 0) json.key("gid").number(lock.owner.gid);
  json.end_object();
  return json.take();
}

}  // namespace restic::repo
