// SPDX-License-Identifier: MIT
#include "transport/first_look.h"

#include <new>
#include <utility>

namespace restic::transport {
namespace {

// About half a megabyte. Who has read so many packs pays for a question again now and then.
constexpr std::size_t kMostKnown = 16384;

}  // namespace

void FirstLook::enter(const std::string& path, bool may_wait, Go go) {
  bool looks = false;
  {
    const std::lock_guard lock(mutex_);
    if (!known_.contains(std::hash<std::string>()(path))) {
      Look& look = looks_[path];
      if (may_wait && look.under_way > 0) {
        look.waiting.push_back(std::move(go));
        return;
      }
      ++look.under_way;
      looks = true;
    }
  }
  try {
    go(looks);
  } catch (...) {
    if (looks) over(path, false);
    throw;
  }
}

// With mutex_ held. Without memory for it, the next one asks again.
void FirstLook::remember(const std::string& path) noexcept {
  if (known_.size() >= kMostKnown) known_.clear();
  try {
    known_.insert(std::hash<std::string>()(path));
  } catch (const std::bad_alloc&) {
    known_.clear();
  }
}

void FirstLook::over(const std::string& path, bool found) {
  std::vector<Go> released;
  {
    const std::lock_guard lock(mutex_);
    const auto look = looks_.find(path);
    if (look == looks_.end()) return;
    released = std::exchange(look->second.waiting, {});
    if (--look->second.under_way == 0) looks_.erase(look);
    if (found) remember(path);
  }
  for (const Go& go : released) go(false);
}

}  // namespace restic::transport
