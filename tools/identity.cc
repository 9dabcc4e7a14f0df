// SPDX-License-Identifier: MIT
#include "tools/identity.h"

#include <pwd.h>
#include <unistd.h>

#include <array>

namespace restic::tools {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string user_name() {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : "";
}

repo::LockOwner lock_owner() { return {host_name(), user_name(), ::geteuid(), ::getegid()}; }

}  // namespace restic::tools
