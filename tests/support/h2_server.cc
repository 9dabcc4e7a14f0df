// SPDX-License-Identifier: MIT
#include "support/h2_server.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

namespace restic::test {
namespace {

nghttp2_nv header(const std::string& name, const std::string& value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct H2Server::Impl {
  explicit Impl(Script answers);
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static Impl& self(void* user) { return *static_cast<Impl*>(user); }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user) {
    self(user).requests[frame->hd.stream_id].headers[std::string(name, name + name_size)] =
        std::string(value, value + value_size);
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user) {
    Impl& impl = self(user);
    H2Request& request = impl.requests[id];
    request.body.insert(request.body.end(), data, data + size);
    if (impl.stalled.count(request.headers[":path"]) != 0) return 0;
    // Acknowledged as it is read, as Go's server does.
    for (const std::int32_t window : {0, id}) {
      nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, window, static_cast<std::int32_t>(size));
    }
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Impl& impl = self(user);
    if (frame->hd.type == NGHTTP2_PING) ++impl.pings;
    if (frame->hd.type == NGHTTP2_RST_STREAM) ++impl.resets;
    const bool begins = frame->hd.type == NGHTTP2_HEADERS;
    if (begins && impl.early.count(impl.requests[frame->hd.stream_id].headers[":path"]) != 0) {
      impl.answer(frame->hd.stream_id);
      return 0;
    }
    const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) impl.answer(frame->hd.stream_id);
    return 0;
  }
  static ssize_t read_reply(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t room,
                            std::uint32_t* flags, nghttp2_data_source*, void* user) {
    auto& [reply, sent] = self(user).replies.at(id);
    const std::size_t size = std::min(room, reply.body.size() - sent);
    if (size != 0) std::memcpy(to, reply.body.data() + sent, size);
    sent += size;
    if (sent == reply.body.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (reply.reset_after_body) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
      }
    }
    return static_cast<ssize_t>(size);
  }
  void answer(std::int32_t id);

  Script script;
  nghttp2_session* session = nullptr;
  std::map<std::int32_t, H2Request> requests;
  std::map<std::int32_t, std::pair<H2Reply, std::size_t>> replies;
  std::set<std::string> stalled;
  std::set<std::string> early;
  std::size_t pings = 0;
  std::size_t resets = 0;
};

H2Server::Impl::Impl(Script answers) : script(std::move(answers)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_http_messaging(option, 1);  // it may send nonsense
  nghttp2_option_set_max_send_header_block_length(option, 1U << 20U);
  nghttp2_session_server_new2(&session, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1U << 20U};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &window, 1);
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
}

void H2Server::Impl::answer(std::int32_t id) {
  requests[id].stream = id;
  auto& [reply, sent] = replies[id] = {script(requests[id]), 0};
  if (reply.never) return;
  std::vector<nghttp2_nv> headers;
  for (const auto& [name, value] : reply.headers) headers.push_back(header(name, value));
  nghttp2_data_provider provider{};
  provider.read_callback = read_reply;
  nghttp2_submit_response(session, id, headers.data(), headers.size(), &provider);
}

H2Server::H2Server(Script script) : impl_(std::make_unique<Impl>(std::move(script))) {}
H2Server::~H2Server() = default;

void H2Server::stall(const std::string& path) { impl_->stalled.insert(path); }

void H2Server::answer_early(const std::string& path) { impl_->early.insert(path); }

void H2Server::receive(ByteView input) {
  if (nghttp2_session_mem_recv(impl_->session, input.data(), input.size()) < 0) {
    throw std::runtime_error("the client broke the protocol");
  }
}

Bytes H2Server::take_output() {
  Bytes output;
  for (;;) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(impl_->session, &data);
    if (size <= 0) return output;
    output.insert(output.end(), data, data + size);
  }
}

void H2Server::go_away() { nghttp2_session_terminate_session(impl_->session, NGHTTP2_NO_ERROR); }
std::size_t H2Server::pings() const { return impl_->pings; }
std::size_t H2Server::resets() const { return impl_->resets; }

}  // namespace restic::test
