// SPDX-License-Identifier: MIT
#include "transport/h2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "transport/h2_stream.h"

namespace restic::transport {
namespace {

// Windows as large as everything that can be in flight: the line is never idle for want of a window update,
// and memory is bounded by the requests' own limits, not by flow control.
constexpr std::int32_t kWindow = std::int32_t{256} << 20;
constexpr std::uint32_t kMaxFrame = std::uint32_t{1} << 20U;
// rclone's answers have a dozen short headers. More than that is not an answer to us.
constexpr std::uint32_t kMaxHeaderList = std::uint32_t{32} << 10U;
// Of one upload, unacknowledged. Eight stalled ones leave a quarter of the server's 1 MiB for everybody else.
// Go's server acknowledges what its reader took every 4 KiB, so the limit stops nobody who is read.
constexpr std::int32_t kUploadInFlight = std::int32_t{96} << 10;

nghttp2_nv header(std::string_view name, std::string_view value) {
  // nghttp2 copies both and never writes through the pointers.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

struct H2Session::Impl {
  Impl();
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  H2Stream* find(std::int32_t id) {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }
  // The stream is done with, well or not: its completion runs once nghttp2 is left. A change without an
  // answer breaks the connection, for the server may be at it still: rclone, when the stream of an upload
  // ends, removes by its name what it has of the file, at a time of its own, though the next attempt may have
  // saved the whole of it meanwhile.
  void finish(std::int32_t id, const Error& otherwise) {
    auto node = streams.extract(id);
    if (node.empty()) return;
    const H2Stream& stream = node.mapped();
    if (stream.body_size() > kSmallUpload) --uploads;
    if (stream.may_go_on())
      break_with(stream.request().method + " " + stream.request().path + " was broken off");
    finished.emplace_back(std::move(node.mapped()), otherwise);
  }
  void run_completions() {
    // Of a broken connection fail_all() does that: who tries again should find that it is broken.
    if (broken.empty()) complete_finished();
  }
  void complete_finished() {
    while (!finished.empty()) {
      auto batch = std::exchange(finished, {});
      for (auto& [stream, otherwise] : batch) stream.complete(otherwise);
    }
  }
  void break_with(std::string reason) {
    if (broken.empty()) broken = std::move(reason);
  }
  void reset(std::int32_t id, std::uint32_t code) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code);
  }

  static Impl& self(void* user) { return *static_cast<Impl*>(user); }
  static int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                       const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int on_frame(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t*, std::size_t, void*);
  static int on_close(nghttp2_session*, std::int32_t, std::uint32_t, void*);
  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t, std::uint32_t*,
                           nghttp2_data_source*, void*);

  nghttp2_session* session = nullptr;
  std::map<std::int32_t, H2Stream> streams;
  std::vector<std::pair<H2Stream, Error>> finished;
  std::size_t uploads = 0;
  std::uint64_t pongs = 0;
  bool going_away = false;
  std::string broken;
  Clock::time_point now;
};

H2Session::Impl::Impl() {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  const int made = nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) throw std::bad_alloc();
  const std::array<nghttp2_settings_entry, 4> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow},
       {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kMaxFrame},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeaderList}}};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kWindow);
}

int H2Session::Impl::on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                               std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                               std::uint8_t, void* user) {
  H2Stream* stream = self(user).find(frame->hd.stream_id);
  if (stream != nullptr) stream->on_header(text(name, name_size), text(value, value_size));
  return 0;
}

int H2Session::Impl::on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  Impl& impl = self(user);
  switch (frame->hd.type) {
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++impl.pongs;
      return 0;
    case NGHTTP2_GOAWAY:
      impl.going_away = true;
      return 0;
    case NGHTTP2_WINDOW_UPDATE:
      // A stream that waits for its own acknowledgement may go on. No effect on those that do not wait.
      if (H2Stream* stream = impl.find(frame->hd.stream_id)) {
        stream->touch(impl.now);
        nghttp2_session_resume_data(session, frame->hd.stream_id);
      }
      return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      break;
    default:
      return 0;
  }
  H2Stream* stream = impl.find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  stream->touch(impl.now);
  if (frame->hd.type == NGHTTP2_HEADERS) stream->on_headers_end();
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    stream->on_end();
    // Answered before it was read, as a refusal is: the rest of the body has no reader.
    if (!stream->body_sent()) impl.reset(frame->hd.stream_id, NGHTTP2_NO_ERROR);
  }
  if (stream->problem()) impl.reset(frame->hd.stream_id, NGHTTP2_CANCEL);
  return 0;
}

int H2Session::Impl::on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                             std::size_t size, void* user) {
  Impl& impl = self(user);
  H2Stream* stream = impl.find(id);
  if (stream == nullptr) return 0;
  stream->touch(impl.now);
  stream->on_data({data, size});
  if (stream->problem()) {
    impl.reset(id, NGHTTP2_CANCEL);
    impl.finish(id, *stream->problem());
  }
  return 0;
}

int H2Session::Impl::on_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
  Impl& impl = self(user);
  if (H2Stream* stream = impl.find(id)) {
    stream->on_close();
    impl.finish(id, {Errc::Unavailable, "the answer for " + stream->request().path + " was cut off (" +
                                            nghttp2_http2_strerror(code) + ")"});
  }
  return 0;
}

ssize_t H2Session::Impl::read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* to,
                                   std::size_t room, std::uint32_t* flags, nghttp2_data_source*, void* user) {
  Impl& impl = self(user);
  H2Stream* stream = impl.find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const auto initial = static_cast<std::int32_t>(
      nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE));
  const std::int32_t in_flight = initial - nghttp2_session_get_stream_remote_window_size(session, id);
  const std::int32_t allowed = kUploadInFlight - std::max(in_flight, 0);
  if (allowed <= 0 && !stream->body_sent()) return NGHTTP2_ERR_DEFERRED;
  const std::size_t took =
      stream->take_body(to, std::min(room, static_cast<std::size_t>(std::max(allowed, 0))));
  stream->touch(impl.now);
  if (const std::optional<Error> problem = stream->problem()) {
    impl.finish(id, *problem);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  if (stream->body_sent()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(took);
}

H2Session::H2Session() : impl_(std::make_unique<Impl>()) {}
H2Session::~H2Session() = default;

void H2Session::submit(HttpRequest request, HttpDone done, Clock::time_point now) {
  impl_->now = now;
  const Error refused(Errc::Unavailable, "the connection takes no more requests");
  if (closing()) return done(refused);
  std::vector<nghttp2_nv> headers{header(":method", request.method), header(":scheme", "http"),
                                  header(":authority", "localhost"), header(":path", request.path),
                                  header("accept", "application/vnd.x.restic.rest.v2")};
  std::string range;
  if (request.range) {
    const std::uint64_t last = request.range->offset + request.range->length - 1;
    range = "bytes=" + std::to_string(request.range->offset) + "-" + std::to_string(last);
    headers.push_back(header("range", range));
  }
  const std::string length = std::to_string(request.body ? request.body->size() : 0);
  if (request.body) headers.push_back(header("content-length", length));
  nghttp2_data_provider provider{};
  provider.read_callback = Impl::read_body;
  const bool has_body = request.body && request.body->size() != 0;
  const std::int32_t id = nghttp2_submit_request(impl_->session, nullptr, headers.data(), headers.size(),
                                                 has_body ? &provider : nullptr, nullptr);
  if (id < 0) {
    impl_->break_with(nghttp2_strerror(id));  // what refuses one refuses all that come after it
    return done(refused);
  }
  const auto [added, fresh] = impl_->streams.emplace(id, H2Stream(std::move(request), std::move(done), now));
  if (fresh && added->second.body_size() > kSmallUpload) ++impl_->uploads;
}

void H2Session::receive(ByteView input, Clock::time_point now) {
  impl_->now = now;
  if (!impl_->broken.empty()) return;
  const ssize_t used = nghttp2_session_mem_recv(impl_->session, input.data(), input.size());
  if (used < 0) impl_->break_with(nghttp2_strerror(static_cast<int>(used)));
  impl_->run_completions();
}

ByteView H2Session::next_output() {
  impl_->run_completions();  // of streams that ended with what was sent before
  if (!impl_->broken.empty()) return {};
  const std::uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(impl_->session, &data);
  if (size < 0) impl_->break_with(nghttp2_strerror(static_cast<int>(size)));
  if (size <= 0) impl_->run_completions();  // of streams that ended unsent: nobody may come back to us soon
  return size > 0 ? ByteView(data, static_cast<std::size_t>(size)) : ByteView();
}

void H2Session::check_deadlines(Clock::time_point now) {
  impl_->now = now;
  if (!impl_->broken.empty()) return;
  std::vector<std::int32_t> expired;
  for (const auto& [id, stream] : impl_->streams) {
    if (stream.expired(now)) expired.push_back(id);
  }
  for (const std::int32_t id : expired) {
    impl_->reset(id, NGHTTP2_CANCEL);  // not sent where finish() breaks the connection
    impl_->finish(id, {Errc::Timeout, "no answer in time for " + impl_->find(id)->request().path});
  }
  impl_->run_completions();
}

void H2Session::fail_all(const Error& error) {
  impl_->break_with(error.what());
  while (!impl_->streams.empty()) impl_->finish(impl_->streams.begin()->first, error);
  impl_->complete_finished();
}

void H2Session::ping() {
  if (impl_->broken.empty()) nghttp2_submit_ping(impl_->session, NGHTTP2_FLAG_NONE, nullptr);
}

std::size_t H2Session::active() const noexcept { return impl_->streams.size(); }
std::size_t H2Session::active_uploads() const noexcept { return impl_->uploads; }
std::uint64_t H2Session::pongs() const noexcept { return impl_->pongs; }
bool H2Session::closing() const noexcept { return impl_->going_away || !impl_->broken.empty(); }
bool H2Session::ended() const noexcept {
  // After a broken rule nghttp2 has a GOAWAY to send, and then wants neither to read nor to write.
  return !impl_->broken.empty() ||
         (nghttp2_session_want_read(impl_->session) == 0 && nghttp2_session_want_write(impl_->session) == 0);
}
std::string H2Session::why_broken() const {
  return impl_->broken.empty() ? "the HTTP/2 connection broke" : impl_->broken;
}

}  // namespace restic::transport
