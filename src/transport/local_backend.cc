// SPDX-License-Identifier: MIT
#include "transport/local_backend.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

#include "transport/file_names.h"
#include "transport/local_files.h"

namespace restic::transport {
namespace {

std::string absolute_folder(const std::string& folder) {
  std::error_code failure;
  const auto path = std::filesystem::canonical(folder, failure);
  if (failure) throw system_error(failure.value(), "open " + folder);
  if (!std::filesystem::is_directory(path, failure)) throw Error(Errc::Usage, folder + " is not a folder");
  return path == "/" ? std::string() : path.string();
}

unsigned thread_count(unsigned connections) {
  if (connections != 0) return std::min(connections, 64U);
  return std::clamp(2 * std::thread::hardware_concurrency(), 4U, 8U);
}

void throw_if(const std::optional<Error>& problem) {
  if (problem) throw Error(*problem);
}

// Whether a folder is there. One that cannot be looked at, or is a link to a disk that is not mounted, is not
// taken for one that is missing.
bool is_there(const std::string& folder) {
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    throw system_error(errno, "list " + folder);
  }
  if (::stat(folder.c_str(), &status) == 0) return true;
  const Error error = system_error(errno, "list " + folder);
  if (error.code() != Errc::NotFound) throw Error(error);
  throw Error(Errc::Unavailable, std::string(error.what()) + ": it is a link to what is not there");
}

std::string two_digits(unsigned number) {
  std::array<char, 3> digits{};
  std::snprintf(digits.data(), digits.size(), "%02x", number);
  return digits.data();
}

}  // namespace

LocalBackend::LocalBackend(const std::string& folder, unsigned connections)
    : root_(absolute_folder(folder)), pool_(thread_count(connections)) {}

template <class T>
void LocalBackend::run(Urgency urgency, std::function<void(Result<T>)> done, std::function<T()> work) {
  pool_.add(urgency, [this, done = std::move(done), work = std::move(work)](bool cancelled) {
    const auto result = [&]() -> Result<T> {
      if (cancelled) return Error(Errc::Cancelled, "the repository " + root_ + " is being closed");
      try {
        return work();
      } catch (const Error& error) {
        return explain(error);
      } catch (const std::exception& failure) {
        return Error(Errc::Io, "cannot work on " + root_ + ": " + failure.what());
      }
    };
    done(result());
  });
}

Error LocalBackend::explain(const Error& error) const {
  if (error.code() != Errc::NotFound || !seen_config_ || file_exists(root_ + "/config")) return error;
  return {Errc::Unavailable, "the repository " + root_ + " is not there any more (" + error.what() + ")"};
}

std::string LocalBackend::folder_for(const FileName& file) const {
  if (file.type == FileType::Config) return root_;
  const std::string folder = root_ + "/" + folder_of(file.type);
  return file.type == FileType::Pack ? folder + "/" + file.name.substr(0, 2) : folder;
}

std::string LocalBackend::path_for(const FileName& file) const {
  throw_if(name_problem(file));
  return folder_for(file) + "/" + (file.type == FileType::Config ? "config" : file.name);
}

bool LocalBackend::shared_with_group() const {
  struct stat info {};
  return ::stat((root_ + "/config").c_str(), &info) == 0 && (info.st_mode & S_IRGRP) != 0;
}

void LocalBackend::load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) {
  run<Bytes>(urgency, std::move(done), [this, file, limit] {
    Bytes content = read_file(path_for(file), limit);
    if (file.type == FileType::Config) seen_config_ = true;
    return content;
  });
}

void LocalBackend::load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) {
  load_range_arriving(file, range, urgency, nullptr, std::move(done));
}

void LocalBackend::load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                       const OnArriving& arriving, LoadDone done) {
  run<Bytes>(urgency, std::move(done), [this, file, range, arriving] {
    throw_if(range_problem(file, range));
    try {
      return read_file_range(path_for(file), range, arriving);
    } catch (...) {
      if (arriving) arriving({}, 0);
      throw;
    }
  });
}

void LocalBackend::list(FileType type, ListDone done) {
  run<std::vector<FileInfo>>(Urgency::Demand, std::move(done), [this, type] {
    if (type == FileType::Config) throw Error(Errc::Usage, "config is a file, not a folder");
    const std::string folder = root_ + "/" + folder_of(type);
    std::vector<FileInfo> files;
    if (is_there(folder)) files = type == FileType::Pack ? list_packs() : list_files(folder);
    if (files.empty()) check_present(folder);
    return files;
  });
}

void LocalBackend::check_present(const std::string& folder) const {
  if (!file_exists(root_) || (seen_config_ && !file_exists(root_ + "/config"))) {
    throw Error(Errc::Unavailable, "cannot list " + folder + ": the repository is not there any more");
  }
}

std::vector<FileInfo> LocalBackend::list_packs() const {
  std::vector<FileInfo> packs;
  for (unsigned prefix = 0; prefix < 256; ++prefix) {
    const std::string digits = two_digits(prefix);
    for (FileInfo& info : list_files(root_ + "/data/" + digits)) {
      // A pack in the folder of other digits is not found by its name, so it is not there.
      if (info.name.compare(0, 2, digits) == 0) packs.push_back(std::move(info));
    }
  }
  return packs;
}

void LocalBackend::make_folders_for(const FileName& file, mode_t mode) const {
  const std::string folder = folder_for(file);
  if (file_exists(folder)) return;
  const std::string above = root_ + "/" + folder_of(file.type);
  make_folder(above, mode);
  make_folder(folder, mode);
  sync_folder(above);
  sync_folder(root_);
}

void LocalBackend::save(const FileName& file, SharedContent content, StatusDone done) {
  run<Unit>(Urgency::Demand, std::move(done), [this, file, content = std::move(content)] {
    const bool is_config = file.type == FileType::Config;
    const bool shared = shared_with_group();

    throw_if(name_problem(file));
    if (!is_config) make_folders_for(file, shared ? 0770 : 0700);
    write_file({.folder = folder_for(file),
                .name = is_config ? "config" : file.name,

                .mode = shared ? mode_t{0660} : mode_t{0600},
                .final_mode = shared ? mode_t{0440} : mode_t{0400},
                .replace = !is_config},
               *content);
    if (is_config) seen_config_ = true;
    return Unit{};
  });
}

void LocalBackend::remove(const FileName& file, StatusDone done) {
  run<Unit>(Urgency::Demand, std::move(done), [this, file] {
    remove_file(path_for(file));
    return Unit{};
  });
}

void LocalBackend::create(StatusDone done) {
  run<Unit>(Urgency::Demand, std::move(done), [this] {
    const mode_t mode = shared_with_group() ? 0770 : 0700;
    for (FileType type :
         {FileType::Key, FileType::Lock, FileType::Snapshot, FileType::Index, FileType::Pack}) {
      make_folder(root_ + "/" + folder_of(type), mode);
    }
    for (unsigned prefix = 0; prefix < 256; ++prefix)
      make_folder(root_ + "/data/" + two_digits(prefix), mode);
    sync_folder(root_ + "/data");
    sync_folder(root_);
    return Unit{};
  });
}

std::string LocalBackend::describe() const { return "local folder " + (root_.empty() ? "/" : root_); }

}  // namespace restic::transport
