// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "repo/key_file.h"
#include "transport/backend.h"

namespace restic::repo {

// At most so many key files are tried. restic stops at 20.
inline constexpr std::size_t kMaxKeyFiles = 32;

// The key files of a repository, in the order in which a password is tried on them: those that `hint` (a
// prefix of a name, may be empty) fits first, then by name. Not thread-safe; blocks.
class KeyRing {
 public:
  // Lists and loads them. Files whose content does not match their name, which are not valid or ask for too
  // much are skipped and named in the log. Throws NotFound when there is no key file at all, Damaged when all
  // were skipped, and what the backend throws.
  KeyRing(transport::Backend& backend, const std::string& hint, Log& log);

  // The master key, or nullopt when no key file opens with the password. Takes scrypt's time for each file
  // tried.
  std::optional<SecretKey> open(std::string_view password) const;

  // The name of the key file that opened last.
  const std::string& opened() const noexcept { return opened_; }

 private:
  struct Entry {
    std::string name;
    KeyFile key_file;
  };

  Log& log_;
  std::vector<Entry> entries_;
  mutable std::string opened_;
};

}  // namespace restic::repo
