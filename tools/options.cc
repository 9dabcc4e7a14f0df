// SPDX-License-Identifier: MIT
#include "tools/options.h"

#include <array>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "tools/option_names.h"
#include "tools/quantity.h"
#include "tools/text_file.h"

namespace restic::tools {
namespace {

// Where the paths and names on the command line are looked up.
struct Context {
  std::string home;

  // A path as the user means it from here: the shell leaves the "~/" behind a "=" alone.
  std::string path(const std::string& written) const {
    if (written.starts_with("~/") && !home.empty()) return home + written.substr(1);
    std::string path = std::filesystem::absolute(written).lexically_normal().string();
    if (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
  }
};

std::uint32_t parse_owner(const std::string& text) {
  return static_cast<std::uint32_t>(parse_number(text, 0, std::numeric_limits<std::uint32_t>::max() - 1));
}

// A shorter quiet would cut off what a copying program is about to continue.
std::optional<std::chrono::milliseconds> parse_quiet(const std::string& text) {
  constexpr std::chrono::milliseconds kLeast{100};
  const auto quiet = parse_duration(text);
  if (quiet && *quiet < kLeast) throw Error(Errc::Usage, "'" + text + "' is too short; the least is 100ms");
  return quiet;
}

// What an option does. `value` is empty for options that take none.
using Apply = void (*)(Options&, const std::string& value, const Context&);

struct OptionRow {
  OptionHelp help;
  Apply apply;
};

constexpr auto kRows = std::to_array<OptionRow>({
    {{"ro", "", "show the snapshots only: no new/, no drag-in"},
     [](Options& o, const std::string&, const Context&) { o.read_only = true; }},
    {{"rw", "", "show new/ as well (the default)"},
     [](Options& o, const std::string&, const Context&) { o.read_only = false; }},
    {{"init", "", "make the repository if there is none"},
     [](Options& o, const std::string&, const Context&) { o.init = true; }},
    {{"password-file", "PATH", "read the password from a file"},
     [](Options& o, const std::string& v, const Context& c) { o.password.file = c.path(v); }},
    {{"password-command", "COMMAND", "run a command that prints the password"},
     [](Options& o, const std::string& v, const Context&) { o.password.command = v; }},
    {{"key-hint", "ID", "try this key of the repository first"},
     [](Options& o, const std::string& v, const Context&) { o.key_hint = v; }},
    {{"host", "HOST", "show only snapshots of this host (repeatable)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.hosts.push_back(v); }},
    {{"tag", "TAG", "show only snapshots with this tag, or with all of TAG\\,TAG (repeatable)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.tags.push_back(v); }},
    {{"path", "PATH", "show only snapshots of this absolute path (repeatable; all must match)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.paths.push_back(v); }},
    {{"path-template", "TEMPLATE", "a folder layout made of %i %I %u %h %t %T (repeatable)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.path_templates.push_back(v); }},
    {{"time-template", "FORMAT", "how %T is written, in the letters of strftime(3)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.time_template = v; }},
    {{"refresh", "TIME", "how old the list of snapshots may be (60s)"},
     [](Options& o, const std::string& v, const Context&) {
       o.vfs.refresh = parse_duration(v).value_or(std::chrono::hours(24 * 3650));
     }},
    {{"lock", "", "hold restic's shared lock while mounted, so that prune waits"},
     [](Options& o, const std::string&, const Context&) { o.lock = true; }},
    {{"allow_other", "", "let other users in; modes and owners as recorded are then enforced"},
     [](Options& o, const std::string&, const Context&) { o.allow_other = true; }},
    {{"allow_root", "", "let root in besides the mounting user"},
     [](Options& o, const std::string&, const Context&) { o.allow_root = true; }},
    {{"default_permissions", "", "enforce the recorded modes and owners"},
     [](Options& o, const std::string&, const Context&) { o.default_permissions = true; }},
    {{"uid", "UID", "show this owner instead of the recorded ones"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.uid = parse_owner(v); }},
    {{"gid", "GID", "show this group instead of the recorded ones"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.gid = parse_owner(v); }},
    {{"umask", "MODE", "take these bits off every mode that is shown (octal)"},
     [](Options& o, const std::string& v, const Context&) { o.vfs.umask = parse_umask(v); }},
    {{"cache-dir", "PATH", "where the sealed local cache lies"},
     [](Options& o, const std::string& v, const Context& c) { o.cache_dir = c.path(v); }},
    {{"cache-size", "SIZE", "how large the local cache may grow (1G)"},
     [](Options& o, const std::string& v, const Context&) { o.cache_bytes = parse_size(v); }},
    {{"no-cache", "", "keep no cache on the local disk"},
     [](Options& o, const std::string&, const Context&) { o.cache_bytes = 0; }},
    {{"memory", "SIZE", "memory for data, besides the index (128M)"},
     [](Options& o, const std::string& v, const Context&) { o.memory_bytes = parse_size(v); }},
    {{"state-dir", "PATH", "where what is copied into new/ lies until it is a snapshot"},
     [](Options& o, const std::string& v, const Context& c) { o.state_dir = c.path(v); }},
    {{"connections", "NUMBER", "how many requests to keep in flight"},
     [](Options& o, const std::string& v, const Context&) {
       o.backend.connections = static_cast<unsigned>(parse_number(v, 1, 1000));
     }},
    {{"rclone-program", "PATH", "the rclone to run"},
     [](Options& o, const std::string& v,
        const Context& c) { o.backend.rclone_program = v.find('/') == std::string::npos ? v : c.path(v); }},
    {{"rclone-args", "ARGUMENTS", "rclone's arguments in front of REMOTE:PATH"},
     [](Options& o, const std::string& v, const Context&) { o.backend.rclone_args = v; }},
    {{"log-file", "PATH", "append the log to this file"},
     [](Options& o, const std::string& v, const Context& c) { o.log_file = c.path(v); }},
    {{"debug", "", "with -f, print every request of the kernel on stderr"},
     [](Options& o, const std::string&, const Context&) { o.debug = true; }},
    {{"commit-after", "TIME", "make a snapshot of new/ after so much quiet, or never (30s)"},
     [](Options& o, const std::string& v, const Context&) { o.commit.after = parse_quiet(v); }},
    {{"commit-host", "HOST", "the host name of snapshots made from new/"},
     [](Options& o, const std::string& v, const Context&) { o.commit.host = v; }},
    {{"commit-tag", "TAG", "a tag of snapshots made from new/ (repeatable)"},
     [](Options& o, const std::string& v, const Context&) { o.commit.tags.push_back(v); }},
    {{"commit-partial", "", "make the snapshot without files that cannot be read"},
     [](Options& o, const std::string&, const Context&) { o.commit.partial = true; }},
});

[[noreturn]] void refuse_unknown(const std::string& name) {
  std::vector<std::string_view> known;
  known.reserve(kRows.size());
  for (const OptionRow& row : kRows) known.push_back(row.help.name);
  const std::string nearest = nearest_name(name, known);
  throw Error(Errc::Usage,
              "unknown option " + name +
                  (nearest.empty() ? "; mount.restic -h lists them" : "; did you mean " + nearest + "?"));
}

void apply_generic(Options& options, const RawOption& option, bool sloppy) {
  switch (classify_generic(option.name)) {
    case Generic::Accepted:
      return;
    case Generic::Kernel:
      options.mount_flags.push_back(option.name);
      return;
    case Generic::Impossible:
      throw Error(Errc::Usage, "option " + option.name + " is not possible here; unmount and mount again");
    case Generic::Unknown:
      if (!sloppy) refuse_unknown(option.name);
  }
}

void apply_option(Options& options, const RawOption& option, bool sloppy, const Context& context) {
  for (const OptionRow& row : kRows) {
    if (row.help.name != option.name) continue;
    const bool takes_value = !row.help.value.empty();
    if (takes_value && option.value.value_or("").empty()) {
      throw Error(Errc::Usage, "option " + option.name + " needs a value; write " + option.name + "=" +
                                   std::string(row.help.value));
    }
    if (!takes_value && option.value) throw Error(Errc::Usage, "option " + option.name + " takes no value");
    try {
      row.apply(options, option.value.value_or(""), context);
    } catch (const Error& reason) {
      throw Error(Errc::Usage, "option " + option.name + ": " + reason.what());
    }
    return;
  }
  apply_generic(options, option, sloppy);
}

std::string value_or(const Environment& environment, const std::string& name, const std::string& otherwise) {
  const std::optional<std::string> value = environment(name);
  return value && !value->empty() ? *value : otherwise;
}

// One of the XDG base folders; root's services have none, so root has the system's.
std::string own_folder(const Environment& environment, const std::string& variable, const Context& context,
                       const std::string& below_home, std::uint32_t uid, const std::string& of_root) {
  std::string base = value_or(environment, variable, "");
  if (!base.starts_with('/'))
    base = uid == 0 ? of_root : context.home.empty() ? "" : context.home + below_home;
  return base.empty() ? "" : base + "/mount.restic";
}

std::string repository_of(const Environment& environment) {
  std::string named = value_or(environment, "RESTIC_REPOSITORY", "");
  if (!named.empty()) return named;
  const std::string file = value_or(environment, "RESTIC_REPOSITORY_FILE", "");
  if (file.empty()) return {};
  try {
    return read_text_file(file);
  } catch (const Error& reason) {
    throw Error(Errc::Usage, std::string("RESTIC_REPOSITORY_FILE: ") + reason.what());
  }
}

void read_places(Options& options, const CommandLine& line, const Environment& environment,
                 const Context& context) {
  constexpr const char* kForm = "; write: mount.restic REPOSITORY MOUNTPOINT";
  if (line.positional.empty()) throw Error(Errc::Usage, std::string("no mountpoint was given") + kForm);
  if (line.positional.size() > 2) {
    throw Error(Errc::Usage, "there is one argument too many, '" + line.positional[2] + "'" + kForm);
  }
  options.repository = line.positional.size() == 2 ? line.positional[0] : repository_of(environment);
  if (options.repository.empty()) {
    throw Error(Errc::Usage,
                std::string("no repository was given, and RESTIC_REPOSITORY is not set") + kForm);
  }
  if (line.positional.back().empty())
    throw Error(Errc::Usage, std::string("the mountpoint is empty") + kForm);
  options.mountpoint = context.path(line.positional.back());
  options.location = transport::parse_location(options.repository);
  if (options.location.kind == transport::Location::Kind::Local) {
    options.location.where = context.path(options.location.where);
  }
}

}  // namespace

std::vector<OptionHelp> option_help() {
  std::vector<OptionHelp> rows;
  rows.reserve(kRows.size());
  for (const OptionRow& row : kRows) rows.push_back(row.help);
  return rows;
}

Options read_options(const CommandLine& line, const Environment& environment, std::uint32_t uid) {
  const Context context{value_or(environment, "HOME", "")};
  Options options;
  options.foreground = line.foreground;
  options.verbose = line.verbose;
  options.name_space = line.name_space;
  options.key_hint = value_or(environment, "RESTIC_KEY_HINT", "");
  options.cache_dir = own_folder(environment, "XDG_CACHE_HOME", context, "/.cache", uid, "/var/cache");
  options.state_dir = own_folder(environment, "XDG_STATE_HOME", context, "/.local/state", uid, "/var/lib");
  for (const RawOption& option : line.options) apply_option(options, option, line.sloppy, context);
  if (options.cache_bytes == 0) options.cache_dir.clear();
  if (options.allow_other && options.allow_root) {
    throw Error(Errc::Usage,
                "allow_other and allow_root exclude each other; allow_other lets root in as well");
  }
  read_places(options, line, environment, context);
  return options;
}

}  // namespace restic::tools
