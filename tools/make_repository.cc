// SPDX-License-Identifier: MIT
#include "tools/make_repository.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "repo/init_repository.h"
#include "repo/sealed_file.h"
#include "tools/identity.h"
#include "transport/blocking.h"

namespace restic::tools {
namespace {

bool has_config(transport::Backend& backend) {
  try {
    transport::load(backend, {transport::FileType::Config, ""}, repo::kMaxSealedFile);
    return true;
  } catch (const Error& error) {
    if (error.code() != Errc::NotFound) throw;
    return false;
  }
}

}  // namespace

void make_place(const transport::Location& location) {
  namespace files = std::filesystem;
  if (location.kind != transport::Location::Kind::Local || files::exists(location.where)) return;
  std::error_code problem;
  files::create_directories(location.where, problem);
  if (!problem) files::permissions(location.where, files::perms::owner_all, problem);
  if (problem) throw Error(Errc::Io, "cannot make the folder " + location.where + ": " + problem.message());
}

void make_repository_if_missing(transport::Backend& backend, std::optional<std::string>& password,
                                Startup& startup, Log& log) {
  if (has_config(backend)) return;
  if (!password) password = startup.ask_password(kNewPassword);
  if (!password) {
    throw Error(Errc::WrongPassword,
                "no password for the new repository: none was given, or the two that were typed differ; name "
                "one with "
                "-o password-file=PATH or RESTIC_PASSWORD_FILE");
  }
  const repo::Config config =
      repo::init_repository(backend, *password, {host_name(), user_name()}, repo::calibrate_kdf());
  log.info("made repository " + config.id.hex());
}

}  // namespace restic::tools
