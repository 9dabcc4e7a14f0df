// SPDX-License-Identifier: MIT
#include "tools/command_line.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace restic::tools {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Errc::Usage, what + "; mount.restic -h shows what there is");
}

RawOption split_name(const std::string& element) {
  const std::size_t equals = element.find('=');
  if (equals == std::string::npos) return {element, std::nullopt};
  return {element.substr(0, equals), element.substr(equals + 1)};
}

// Acts on a flag that has no argument; false when it is not one.
bool apply_flag(CommandLine& line, char flag) {
  switch (flag) {
    case 'f':
      line.foreground = true;
      return true;
    case 'v':
      line.verbose = true;
      return true;
    case 's':
      line.sloppy = true;
      return true;
    case 'h':
      line.help = true;
      return true;
    case 'V':
      line.version = true;
      return true;
    case 'r':
      line.options.push_back({"ro", std::nullopt});
      return true;
    case 'w':
      line.options.push_back({"rw", std::nullopt});
      return true;
    case 'n':
      return true;  // "do not write mtab": nothing does any more
    default:
      return false;
  }
}

void apply_argument(CommandLine& line, char flag, const std::string& argument) {
  if (flag == 'o') {
    for (RawOption& option : split_option_list(argument)) line.options.push_back(std::move(option));
  } else if (flag == 'N') {
    line.name_space = argument;
  }  // -t: the type by which mount(8) found us
}

char short_of(const std::string& word) {
  static constexpr std::array<std::pair<std::string_view, char>, 4> kLong{
      {{"--help", 'h'}, {"--version", 'V'}, {"--verbose", 'v'}, {"--foreground", 'f'}}};
  for (const auto& [name, flag] : kLong) {
    if (name == word) return flag;
  }
  refuse("unknown flag " + word);
}

}  // namespace

std::vector<RawOption> split_option_list(std::string_view list) {
  std::vector<RawOption> options;
  std::string element;
  bool quoted = false;
  for (std::size_t at = 0; at <= list.size(); ++at) {
    if (at == list.size() || (list[at] == ',' && !quoted)) {
      if (!element.empty()) options.push_back(split_name(element));
      element.clear();
      continue;
    }
    const char c = list[at];
    const char next = at + 1 < list.size() ? list[at + 1] : '\0';
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\\' && (next == '"' || next == '\\' || (next == ',' && !quoted))) {
      element += next;
      ++at;
    } else {
      element += c;
    }
  }
  if (quoted) refuse("a quote in -o " + std::string(list) + " is not closed");
  return options;
}

CommandLine parse_command_line(const std::vector<std::string>& args) {
  CommandLine line;
  bool flags_over = false;
  for (std::size_t at = 0; at < args.size(); ++at) {
    const std::string& word = args[at];
    if (flags_over || word.size() < 2 || word[0] != '-') {
      line.positional.push_back(word);
      continue;
    }
    if (word == "--") {
      flags_over = true;
      continue;
    }
    const std::string flags = word[1] == '-' ? std::string(1, short_of(word)) : word.substr(1);
    for (std::size_t i = 0; i < flags.size(); ++i) {
      const char flag = flags[i];
      if (apply_flag(line, flag)) continue;
      if (flag != 'o' && flag != 'N' && flag != 't') refuse(std::string("unknown flag -") + flag);
      std::string argument = flags.substr(i + 1);
      if (argument.empty()) {
        if (++at == args.size()) refuse(std::string("the flag -") + flag + " needs an argument");
        argument = args[at];
      }
      apply_argument(line, flag, argument);
      break;
    }
  }
  return line;
}

}  // namespace restic::tools
