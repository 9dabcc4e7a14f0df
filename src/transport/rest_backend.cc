// SPDX-License-Identifier: MIT
#include "transport/rest_backend.h"

#include <algorithm>
#include <utility>

#include "transport/file_names.h"
#include "transport/rest_list.h"

namespace restic::transport {
namespace {

constexpr int kNotFound = 404;
constexpr std::uint64_t kAnyConfig = std::uint64_t{1} << 20U;  // bytes; a config has some 150

bool is_success(int status) { return status >= 200 && status < 300; }

std::string path_of(const FileName& file) { return "/" + file.path(); }
std::string path_of(FileType type) { return "/" + std::string(folder_of(type)) + "/"; }

// What a status other than success means. `what` is the sentence's start: "cannot read data/ab…".
Error status_error(const HttpResponse& response, const std::string& what) {
  std::string said(as_text(ByteView(response.body)));
  said.erase(std::remove_if(said.begin(), said.end(), [](char c) { return c < ' ' || c == 0x7f; }),
             said.end());
  const std::string message = what + ": the remote answered " + std::to_string(response.status) +
                              (said.empty() ? "" : " (" + said + ")");
  switch (response.status) {
    case 401:
    case 403:
      return {Errc::Denied, message};
    case 408:
    case 504:
      return {Errc::Timeout, message};
    case 413:
    case 507:
      return {Errc::Full, message};
    case 416:
      return {Errc::Damaged, message};
    case 400:
    case 405:
      return {Errc::Io, message};
    default:
      return {Errc::Unavailable, message};
  }
}

Error missing_error(const FileName& file) {
  return {Errc::NotFound, file.path() + " does not exist in the repository"};
}

Error doubtful_error(const FileName& file) {
  return {Errc::Unavailable, "the remote does not give " + file.path() + ", though it seems to have it"};
}

// Why an answer is not the file's content, or not all of the range.
std::optional<Error> problem_of(const HttpResponse& response, const std::optional<ByteRange>& range,
                                const FileName& file) {
  if (!is_success(response.status)) return status_error(response, "cannot read " + file.path());
  if (!range) return std::nullopt;
  const std::string wanted = std::to_string(range->length) + " bytes at " + std::to_string(range->offset);
  if (response.full_size &&
      (*response.full_size < range->offset || *response.full_size - range->offset < range->length)) {
    return Error(Errc::Damaged, file.path() + " ends at " + std::to_string(*response.full_size) +
                                    ", before the end of the " + wanted);
  }
  if (response.status != 206 && range->offset != 0) {
    return Error(Errc::Unavailable,
                 "the remote ignored that only a part of " + file.path() + " was asked for");
  }
  if (response.body.size() != range->length) {
    return Error(Errc::Damaged, "the remote sent " + std::to_string(response.body.size()) + " of the " +
                                    wanted + " of " + file.path());
  }
  return std::nullopt;
}

// No repository has a file of this name, so that asking for it costs next to nothing.
constexpr const char* kProbePath = "/file-that-is-not-there";

}  // namespace

RestBackend::RestBackend(HttpChannel& channel, const RestLimits& limits)
    : channel_(channel), limits_(limits) {}

HttpRequest RestBackend::request(const char* method, std::string path, const HttpDeadline& deadline) const {
  HttpRequest made;
  made.method = method;
  made.path = std::move(path);
  made.deadline = deadline;
  return made;
}

void RestBackend::probe(StatusDone done) {
  channel_.send(request("GET", kProbePath, limits_.list),
                [done = std::move(done)](Result<HttpResponse> result) {
                  if (!result.ok()) return done(result.error());
                  const HttpResponse response = result.take();
                  if (response.status >= 500)
                    return done(status_error(response, "cannot reach the repository"));
                  done(Unit{});
                });
}

void RestBackend::refuse(const Error& reason, std::function<void(Error)> done) {
  channel_.send(request("GET", kProbePath, limits_.list),
                [reason, done = std::move(done)](const Result<HttpResponse>&) { done(reason); });
}

void RestBackend::get(HttpRequest request, const FileName& file, LoadDone done) {
  const std::optional<ByteRange> range = request.range;
  const OnArriving arriving = request.arriving;
  channel_.send(std::move(request),
                [this, file, range, arriving, done = std::move(done)](Result<HttpResponse> result) {
                  if (!result.ok()) return done(result.error());
                  HttpResponse response = result.take();
                  if (const std::optional<Error> problem = problem_of(response, range, file)) {
                    if (arriving) arriving({}, 0);  // before the bytes go
                    return response.status == kNotFound ? confirm_missing(file, done) : done(*problem);
                  }
                  if (file.type == FileType::Config) seen_config_ = true;
                  done(std::move(response.body));
                });
}

void RestBackend::load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) {
  if (const auto problem = name_problem(file)) return refuse(*problem, std::move(done));
  HttpRequest wanted = request("GET", path_of(file), limits_.read);
  wanted.body_limit = limit;
  wanted.urgency = urgency;
  get(std::move(wanted), file, std::move(done));
}

void RestBackend::load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) {
  load_range_arriving(file, range, urgency, nullptr, std::move(done));
}

void RestBackend::load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                      const OnArriving& arriving, LoadDone done) {
  if (const auto problem = name_problem(file)) return refuse(*problem, std::move(done));
  if (const auto problem = range_problem(file, range)) return refuse(*problem, std::move(done));
  HttpRequest wanted = request("GET", path_of(file), limits_.read);
  wanted.range = range;
  wanted.body_limit = range.length;
  wanted.urgency = urgency;
  wanted.arriving = arriving;
  const std::string path = wanted.path;
  first_look_.enter(path, urgency == Urgency::Ahead,
                    [this, file, path, wanted = std::move(wanted), done = std::move(done)](bool looks) {
                      if (!looks) return get(wanted, file, done);
                      look(path, wanted, file, done);
                    });
}

// As get(), and tells as soon as others need not wait any more.
void RestBackend::look(const std::string& path, HttpRequest wanted, const FileName& file,
                       const LoadDone& done) {
  const auto told = std::make_shared<bool>(false);  // only on the channel's thread
  const auto tell = [this, path, told](bool found) {
    if (!std::exchange(*told, true)) first_look_.over(path, found);
  };
  wanted.begins = [tell] { tell(true); };
  get(std::move(wanted), file, [tell, done](Result<Bytes> result) {
    tell(result.ok());
    done(std::move(result));
  });
}

void RestBackend::list(FileType type, ListDone done) {
  if (type == FileType::Config) {
    return refuse({Errc::Usage, "config is a file, not a folder"}, std::move(done));
  }
  list_once(type, [this, type, done = std::move(done)](Result<std::vector<FileInfo>> files) {
    if (files.ok() && files.value().empty() && seen_config_) return confirm_empty(type, done);
    done(std::move(files));
  });
}

void RestBackend::list_once(FileType type, ListDone done) {
  channel_.send(list_request(type), [type, done = std::move(done)](Result<HttpResponse> result) {
    const auto files = [&]() -> Result<std::vector<FileInfo>> {
      try {
        HttpResponse response = result.take();
        // rclone answers an empty list for a folder that is not there, and 404 for every error.
        if (response.status == kNotFound) response.status = 502;
        if (!is_success(response.status)) {
          return status_error(response, std::string("cannot list ") + folder_of(type));
        }
        return parse_rest_list(std::move(response.body));
      } catch (const Error& error) {
        return error;
      } catch (const std::exception& failure) {
        return Error(Errc::Io, std::string("cannot list ") + folder_of(type) + ": " + failure.what());
      }
    };
    done(files());
  });
}

void RestBackend::confirm_empty(FileType type, const ListDone& done) {
  channel_.send(config_request(), [this, type, done](const Result<HttpResponse>& result) {
    if (!result.ok()) return done(result.error());
    const HttpResponse& response = result.value();
    if (is_success(response.status)) return list_once(type, done);  // it may have come back just now
    const std::string what = std::string("cannot list ") + folder_of(type);
    if (response.status != kNotFound) return done(status_error(response, what));
    done(Error(Errc::Unavailable, what + ": the repository is not there any more, its config is missing"));
  });
}

HttpRequest RestBackend::list_request(FileType type) const {
  HttpRequest made = request("GET", path_of(type), limits_.list);
  made.body_limit = limits_.list_body;
  return made;
}

HttpRequest RestBackend::config_request() const {
  HttpRequest made = request("GET", path_of(FileName{FileType::Config, ""}), limits_.read);
  made.body_limit = kAnyConfig;
  return made;
}

void RestBackend::save(const FileName& file, SharedContent content, StatusDone done) {
  if (const auto problem = name_problem(file)) return refuse(*problem, std::move(done));
  if (file.type != FileType::Config) return post(file, content, std::move(done));
  load(file, kAnyConfig, Urgency::Demand,
       [this, file, content, done = std::move(done)](const Result<Bytes>& there) {
         // Equal bytes, with their random id, are an earlier attempt of ours whose answer was lost.
         if (there.ok() && equals(*content, there.value())) return done(Unit{});
         if (there.ok()) return done(Error(Errc::Usage, "there is a repository already: it has a config"));
         if (there.error().code() != Errc::NotFound) return done(there.error());
         post(file, content, done);
       });
}

void RestBackend::post(const FileName& file, const SharedContent& content, StatusDone done) {
  HttpRequest wanted = request("POST", path_of(file), limits_.write);
  wanted.body = content;
  wanted.body_limit = 4096;
  channel_.send(std::move(wanted),
                [this, file, content, done = std::move(done)](Result<HttpResponse> result) {
                  if (!result.ok()) return done(result.error());
                  HttpResponse response = result.take();
                  if (is_success(response.status)) return done(Unit{});
                  const Error refusal = status_error(response, "cannot save " + file.path());
                  if (response.status == 403 && file.type != FileType::Config)
                    return compare_saved(file, content, refusal, done);
                  done(refusal);
                });
}

void RestBackend::compare_saved(const FileName& file, const SharedContent& content, const Error& refusal,
                                StatusDone done) {
  load(file, content->size(), Urgency::Demand,
       [content, refusal, done = std::move(done)](const Result<Bytes>& there) {
         if (!there.ok()) return done(refusal);
         if (equals(*content, there.value())) return done(Unit{});
         // Content of another hash under this name, which only somebody with the right to remove it can mend.
         done(Error(refusal.code(), std::string(refusal.what()) +
                                        "; the file of that name has other content, maybe half of what an "
                                        "earlier attempt sent, and has to be removed first"));
       });
}

void RestBackend::remove(const FileName& file, StatusDone done) {
  if (const auto problem = name_problem(file)) return refuse(*problem, std::move(done));
  HttpRequest wanted = request("DELETE", path_of(file), limits_.write);
  wanted.body_limit = 4096;
  channel_.send(std::move(wanted), [this, file, done = std::move(done)](Result<HttpResponse> result) {
    if (!result.ok()) return done(result.error());
    const HttpResponse response = result.take();
    if (response.status == kNotFound) return confirm_missing(file, done);
    const Error refusal = status_error(response, "cannot remove " + file.path());
    // Of a file that it knows and that is gone rclone 1.60 says 500.
    if (response.status >= 500) return confirm_removed(file, refusal, done);
    if (!is_success(response.status)) return done(refusal);
    done(Unit{});
  });
}

void RestBackend::confirm_removed(const FileName& file, const Error& refusal, const StatusDone& done) {
  if (file.type == FileType::Config || file.type == FileType::Pack) return done(refusal);
  confirm_by_list(file, [refusal, done](const Error& verdict) {
    done(verdict.code() == Errc::NotFound ? verdict : refusal);
  });
}

void RestBackend::create(StatusDone done) {
  HttpRequest wanted = request("POST", "/?create=true", limits_.write);
  wanted.body_limit = 4096;
  wanted.body = in_memory(std::make_shared<const Bytes>());
  channel_.send(std::move(wanted), [done = std::move(done)](Result<HttpResponse> result) {
    if (!result.ok()) return done(result.error());
    const HttpResponse response = result.take();
    if (!is_success(response.status))
      return done(status_error(response, "cannot make the repository's folders"));
    done(Unit{});
  });
}

void RestBackend::confirm_missing(const FileName& file, std::function<void(Error)> done) {
  if (file.type != FileType::Config && file.type != FileType::Pack)
    return confirm_by_list(file, std::move(done));
  const bool is_config = file.type == FileType::Config;
  HttpRequest witness = is_config ? list_request(FileType::Key) : config_request();
  channel_.send(std::move(witness), [this, file, done = std::move(done)](const Result<HttpResponse>& result) {
    if (!result.ok()) return done(result.error());
    if (!is_success(result.value().status)) return done(doubtful_error(file));
    ask_again(file, done);
  });
}

void RestBackend::confirm_by_list(const FileName& file, std::function<void(Error)> done) {
  list(file.type, [file, done = std::move(done)](const Result<std::vector<FileInfo>>& result) {
    if (!result.ok()) return done(result.error());
    const auto& files = result.value();
    const bool there =
        std::any_of(files.begin(), files.end(), [&](const auto& info) { return info.name == file.name; });
    done(there ? doubtful_error(file) : missing_error(file));
  });
}

void RestBackend::ask_again(const FileName& file, std::function<void(Error)> done) {
  HttpRequest wanted = request("GET", path_of(file), limits_.read);
  wanted.range = ByteRange{0, 1};
  wanted.body_limit = 1;
  channel_.send(std::move(wanted), [file, done = std::move(done)](const Result<HttpResponse>& result) {
    if (!result.ok()) return done(result.error());
    done(result.value().status == kNotFound ? missing_error(file) : doubtful_error(file));
  });
}

}  // namespace restic::transport
