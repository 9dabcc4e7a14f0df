// SPDX-License-Identifier: MIT
#include "repo/key_ring.h"

#include <algorithm>
#include <future>

#include "base/error.h"
#include "repo/id.h"
#include "transport/blocking.h"

namespace restic::repo {
namespace {

// restic's have 440 bytes.
constexpr std::uint64_t kMaxKeyFileSize = 64U << 10U;

std::vector<std::string> names_in_order(std::vector<transport::FileInfo> files, const std::string& hint) {
  std::vector<std::string> names;
  names.reserve(files.size());
  for (transport::FileInfo& file : files) names.push_back(std::move(file.name));
  std::sort(names.begin(), names.end());
  if (!hint.empty()) {
    std::stable_partition(names.begin(), names.end(),
                          [&](const std::string& name) { return name.starts_with(hint); });
  }
  return names;
}

std::future<Result<Bytes>> start_load(transport::Backend& backend, const transport::FileName& file) {
  auto promise = std::make_shared<std::promise<Result<Bytes>>>();
  std::future<Result<Bytes>> future = promise->get_future();
  backend.load(file, kMaxKeyFileSize, transport::Urgency::Demand,
               [promise](Result<Bytes> content) { promise->set_value(std::move(content)); });
  return future;
}

KeyFile check_and_decode(const transport::FileName& file, ByteView content) {
  if (Id::of(content).hex() != file.name) {
    throw Error(Errc::Damaged, file.path() + ": its content does not match its name");
  }
  return decode_key_file(content, file.path());
}

// Loads one that does not match its name once more: the line may be to blame.
KeyFile check_or_load_again(transport::Backend& backend, const transport::FileName& file,
                            const Result<Bytes>& content) {
  const bool matches = content.ok() && Id::of(content.value()).hex() == file.name;
  if (matches || (!content.ok() && content.error().code() != Errc::Damaged)) {
    return check_and_decode(file, content.value());
  }
  return check_and_decode(file, transport::load(backend, file, kMaxKeyFileSize));
}

}  // namespace

KeyRing::KeyRing(transport::Backend& backend, const std::string& hint, Log& log) : log_(log) {
  std::vector<std::string> names = names_in_order(transport::list(backend, transport::FileType::Key), hint);
  if (names.empty()) throw Error(Errc::NotFound, "the repository has no key file");
  if (names.size() > kMaxKeyFiles) {
    log_.warning("the repository has " + std::to_string(names.size()) + " key files, only " +
                 std::to_string(kMaxKeyFiles) + " are tried; a key hint chooses which come first");
    names.resize(kMaxKeyFiles);
  }

  std::vector<std::future<Result<Bytes>>> loads;
  loads.reserve(names.size());
  for (const std::string& name : names)
    loads.push_back(start_load(backend, {transport::FileType::Key, name}));
  std::string problem;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const transport::FileName file{transport::FileType::Key, names[i]};
    try {
      entries_.push_back({names[i], check_or_load_again(backend, file, loads[i].get())});
    } catch (const Error& error) {
      // A file that another restic removed since the list, or a bad one, must not keep a good key from
      // opening.
      if (error.code() != Errc::Damaged && error.code() != Errc::NotFound) throw;
      problem = error.what();
      log_.warning("skipping a key file: " + problem);
    }
  }
  if (entries_.empty()) throw Error(Errc::Damaged, "no usable key file: " + problem);
}

std::optional<SecretKey> KeyRing::open(std::string_view password) const {
  for (const Entry& entry : entries_) {
    try {
      std::optional<SecretKey> key = open_key_file(entry.key_file, password);
      if (!key) continue;
      opened_ = entry.name;
      return key;
    } catch (const Error& error) {
      if (error.code() != Errc::Damaged) throw;
      log_.warning("skipping a key file: keys/" + entry.name + ": " + error.what());
    }
  }
  return std::nullopt;
}

}  // namespace restic::repo
