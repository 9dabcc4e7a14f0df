// SPDX-License-Identifier: MIT
#include "fs/path_template.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace restic::fs {
namespace {

constexpr std::size_t kLongestName = 255;
constexpr std::size_t kMostTags = 1000;     // of one snapshot; each costs a path
constexpr std::size_t kMostPaths = 10'000;  // of one snapshot and template: "%t/%t" squares the tags

std::string safe_tag(std::string tag) {
  std::replace(tag.begin(), tag.end(), '/', '_');
  if (tag.empty() || tag == ".") return "_";
  return tag == ".." ? "__" : tag;
}

std::string safe_name(std::string_view name) {
  std::string safe(name.substr(0, kLongestName));
  std::replace(safe.begin(), safe.end(), '\0', '_');
  return safe == ".." ? "__" : safe;
}

std::string join(const std::vector<std::string>& names) {
  std::string path;
  for (const auto& name : names) {
    if (!path.empty()) path += '/';
    path += name;
  }
  return path;
}

std::string zone_text(std::int32_t zone_seconds) {
  const int minutes = zone_seconds / 60;
  if (minutes == 0) return "Z";
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%c%02d:%02d", minutes < 0 ? '-' : '+', std::abs(minutes) / 60,
                std::abs(minutes) % 60);
  return text.data();
}

}  // namespace

std::vector<std::string> safe_names(std::string_view path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    if (!name.empty() && name != ".") names.push_back(safe_name(name));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return names;
}

std::string snapshot_time_text(const repo::Snapshot& snapshot, const std::string& time_template) {
  const std::time_t shifted = snapshot.time.seconds + snapshot.zone_seconds;
  std::tm parts{};
  if (gmtime_r(&shifted, &parts) == nullptr) return "_";
  parts.tm_gmtoff = snapshot.zone_seconds;
  parts.tm_zone = snapshot.zone_seconds == 0 ? "UTC" : "";
  const bool rfc3339 = time_template.empty();
  std::array<char, 1024> text{};
  const std::size_t length =
      std::strftime(text.data(), text.size(), rfc3339 ? "%Y-%m-%dT%H:%M:%S" : time_template.c_str(), &parts);
  if (length == 0) return "_";
  std::string result(text.data(), length);
  if (rfc3339) result += zone_text(snapshot.zone_seconds);
  return result;
}

std::string PathTemplate::fixed_folder() const {
  const auto percent = text_.find('%');
  if (percent == std::string::npos) return join(safe_names(text_));
  const auto slash = text_.rfind('/', percent);
  return slash == std::string::npos ? std::string() : join(safe_names(text_.substr(0, slash)));
}

std::vector<TemplatePath> PathTemplate::expand(const repo::Snapshot& snapshot,
                                               const std::string& time_template) const {
  const std::string time = join(safe_names(snapshot_time_text(snapshot, time_template)));
  const bool closing_time = text_.ends_with("%T") && !text_.ends_with("%%T");
  const std::string_view body = std::string_view(text_).substr(0, text_.size() - (closing_time ? 2 : 0));

  std::vector<std::string> paths(1);
  const auto append = [&paths](std::string_view text) {
    for (auto& path : paths) path += text;
  };
  for (std::size_t at = 0; at < body.size(); ++at) {
    if (body[at] != '%' || at + 1 == body.size()) {
      append(body.substr(at, 1));
      continue;
    }
    switch (const char letter = body[++at]; letter) {
      case 'i':
        append(snapshot.id.short_hex());
        break;
      case 'I':
        append(snapshot.id.hex());
        break;
      case 'u':
        append(snapshot.username);
        break;
      case 'h':
        append(snapshot.hostname);
        break;
      case 'T':
        append(time);
        break;
      case 't': {
        if (snapshot.tags.empty()) return {};
        if (snapshot.tags.size() == 1) {
          append(snapshot.tags.front());
          break;
        }
        std::vector<std::string> each;
        const std::size_t tags = std::min(snapshot.tags.size(), kMostTags);
        for (std::size_t tag = 0; tag < tags; ++tag) {
          for (const auto& path : paths) {
            if (each.size() < kMostPaths) each.push_back(path + safe_tag(snapshot.tags[tag]));
          }
        }
        paths = std::move(each);
        break;
      }
      default:
        append(std::string_view(&letter, 1));
    }
  }

  std::vector<TemplatePath> result;
  result.reserve(paths.size());
  for (const auto& path : paths)
    result.push_back({join(safe_names(path)), closing_time ? time : std::string()});
  return result;
}

}  // namespace restic::fs
