// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace restic::tools {

// One element of an `-o` list.
struct RawOption {
  std::string name;
  std::optional<std::string> value;  // nullopt: no "=" was there
};

// What argv says, before any option's meaning is known.
struct CommandLine {
  std::vector<std::string> positional;
  std::vector<RawOption> options;  // of every -o, in order; -r and -w stand here as "ro" and "rw"
  bool foreground = false, verbose = false, sloppy = false, help = false, version = false;
  std::string name_space;  // of -N: a process id or a path; empty: our own
};

// Understands every form in which mount(8) calls its helpers and in which people type them: flags anywhere,
// joined
// ("-fv"), with joined or separate arguments ("-oro", "-o ro"), "--" before arguments that start with a dash.
// `args` is argv without the program's name. Throws Error{Usage}.
CommandLine parse_command_line(const std::vector<std::string>& args);

// Splits one `-o` list at its commas. A comma belongs to a value when it is quoted: `a="x,y"` or `a=x\,y`.
// Empty elements are skipped. Throws Error{Usage} for a quote that is not closed.
std::vector<RawOption> split_option_list(std::string_view list);

}  // namespace restic::tools
