// SPDX-License-Identifier: MIT
#include "tools/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/unique_fd.h"

namespace restic::tools {
namespace {

constexpr std::size_t kLargest = 1U << 20U;

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6U));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0U | (code >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string utf8_from_utf16(std::string_view bytes, bool big_endian) {
  constexpr std::uint32_t kReplacement = 0xfffd;
  const auto unit = [&](std::size_t at) -> std::uint32_t {
    const auto first = static_cast<std::uint8_t>(bytes[at]);
    const auto second = static_cast<std::uint8_t>(bytes[at + 1]);
    return big_endian ? first << 8U | second : second << 8U | first;
  };
  std::string out;
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) {
    const std::uint32_t high = unit(at);
    if (high < 0xd800 || high > 0xdfff) {
      append_utf8(out, high);
      continue;
    }
    const std::uint32_t low = at + 3 < bytes.size() ? unit(at + 2) : 0;
    if (high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
      append_utf8(out, 0x10000 + ((high - 0xd800) << 10U) + (low - 0xdc00));
      at += 2;
    } else {
      append_utf8(out, kReplacement);
    }
  }
  if (bytes.size() % 2 != 0) append_utf8(out, kReplacement);
  return out;
}

// Unicode's White_Space, in UTF-8.
constexpr auto kSpaces = std::to_array<std::string_view>(
    {"\t",           "\n",           "\v",           "\f",           "\r",           " ",
     "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
     "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88",
     "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
     "\xe3\x80\x80"});

std::string_view trimmed(std::string_view text) {
  const auto cut_one = [&] {
    for (const std::string_view space : kSpaces) {
      if (text.starts_with(space)) {
        text.remove_prefix(space.size());
        return true;
      }
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        return true;
      }
    }
    return false;
  };
  while (cut_one()) {
  }
  return text;
}

[[noreturn]] void refuse_to_read(const std::string& path, int reason) {
  const Errc code = reason == ENOENT                      ? Errc::NotFound
                    : reason == EACCES || reason == EPERM ? Errc::Denied
                                                          : Errc::Io;
  throw Error(code, "cannot read " + path + ": " + std::generic_category().message(reason));
}

}  // namespace

std::string clean_text(std::string bytes) {
  std::string text;
  if (bytes.starts_with("\xff\xfe")) {
    text = utf8_from_utf16(std::string_view(bytes).substr(2), false);
  } else if (bytes.starts_with("\xfe\xff")) {
    text = utf8_from_utf16(std::string_view(bytes).substr(2), true);
  } else {
    text = bytes.substr(bytes.starts_with("\xef\xbb\xbf") ? 3 : 0);
  }
  wipe(bytes);
  std::string result(trimmed(text));
  wipe(text);
  return result;
}

std::string read_text_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) refuse_to_read(path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) refuse_to_read(path, errno);
  if (S_ISDIR(info.st_mode)) throw Error(Errc::Usage, "cannot read " + path + ": it is a folder");
  std::string bytes(kLargest + 1, '\0');  // at once: growing would leave copies behind
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_to_read(path, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled > kLargest)
    throw Error(Errc::Usage, path + " is larger than 1 MiB; it should hold one line of text");
  bytes.resize(filled);
  return clean_text(std::move(bytes));
}

void wipe(std::string& secret) noexcept {
  ::explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace restic::tools
