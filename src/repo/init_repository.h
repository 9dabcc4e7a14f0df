// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "repo/config_file.h"
#include "repo/key_file.h"
#include "transport/backend.h"

namespace restic::repo {

// Who made a key, as `restic key list` shows it.
struct KeyCreator {
  std::string hostname, username;
};

// Makes a repository of format 2 in an empty place: its folders, one key for `password`, a config with a
// random chunker polynomial; in this order, for without a config there is no repository. Refuses with
// Error{Usage} when a config, a key or a snapshot is there already, and with an empty password. Blocks for
// the backend and for about a second of scrypt: `kdf` is calibrate_kdf() in earnest. A try that broke off in
// between has left a key: the message of the next names it.
Config init_repository(transport::Backend& backend, std::string_view password, const KeyCreator& creator,
                       const KdfParameters& kdf);

}  // namespace restic::repo
