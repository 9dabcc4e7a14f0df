// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "repo/repository.h"
#include "tools/options.h"
#include "tools/startup.h"

namespace restic::tools {

// The password from the first place that is named, in this order: password-file and password-command of -o,
// then RESTIC_PASSWORD_FILE, RESTIC_PASSWORD_COMMAND, RESTIC_PASSWORD, and the credential "restic-password"
// of a systemd service. nullopt: none is named, the user has to be asked. Files and the command's output are
// cleaned as read_text_file does; RESTIC_PASSWORD is taken as it is (FORMAT: password sources). Throws Error
// that names the place when it gives no password. May run a command, whose stderr is ours and whose stdin is
// empty; starts no thread. The caller wipes the string.
std::optional<std::string> find_password(const PasswordOptions& options, const Environment& environment);

// What Repository::open asks: `found` once, or when there is none the terminal, kPasswordTries times.
// `startup` must outlive it. Throws Error{WrongPassword} when there is nobody to ask.
repo::PasswordSource password_source(std::optional<std::string> found, Startup& startup);

}  // namespace restic::tools
