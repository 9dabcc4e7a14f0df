// SPDX-License-Identifier: MIT
#include "repo/local_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace restic::repo {

namespace {

constexpr std::string_view kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache that mount.restic made; it may be deleted at any time.\n";

void write_tag(int folder) {
  const UniqueFd tag(
      ::openat(folder, "CACHEDIR.TAG", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  // Best effort: without it the cache works just as well.
  if (tag && ::write(tag.get(), kTag.data(), kTag.size()) < 0) ::unlinkat(folder, "CACHEDIR.TAG", 0);
}

}  // namespace

LocalCache::LocalCache(const std::string& cache_dir, const Id& repository, const Crypto& crypto, Log& log)
    : repository_(repository), crypto_(crypto), warnings_(std::make_shared<CacheWarnings>(log)) {
  if (cache_dir.empty()) return;
  folder_ = open_folder(cache_dir);
}

UniqueFd LocalCache::open_folder(const std::string& cache_dir) {
  const auto fail = [&](const std::string& why) {
    warnings_->report("going on without the local cache in " + cache_dir + ": " + why);
    return UniqueFd();
  };
  const auto fail_with_errno = [&] { return fail(std::system_category().message(errno)); };

  std::error_code ignored;  // opening the folder says what is wrong
  std::filesystem::create_directories(std::filesystem::path(cache_dir).parent_path(), ignored);
  const bool made = ::mkdir(cache_dir.c_str(), 0700) == 0;
  const UniqueFd base(::open(cache_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!base) return fail_with_errno();
  if (made) write_tag(base.get());

  const std::string name = repository_.hex();
  if (::mkdirat(base.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return fail_with_errno();
  UniqueFd folder(::openat(base.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return fail_with_errno();
  struct stat status {};
  if (::fstat(folder.get(), &status) != 0) return fail_with_errno();
  if (status.st_uid != ::geteuid()) return fail("its folder belongs to another user");
  if ((status.st_mode & 077U) != 0 && ::fchmod(folder.get(), 0700) != 0) return fail_with_errno();
  // So that the folder's age shows when the repository was mounted last; of no further use to us.
  if (::futimens(folder.get(), nullptr) != 0) errno = 0;
  return folder;
}

std::unique_ptr<CacheLog> LocalCache::open_log(const std::string& name, std::uint64_t budget) {
  return std::make_unique<CacheLog>(folder_ ? folder_.get() : -1, name, LocalSeal(crypto_, repository_, name),
                                    budget, warnings_);
}

}  // namespace restic::repo
