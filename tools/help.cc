// SPDX-License-Identifier: MIT
#include "tools/help.h"

#include <algorithm>

#include "tools/options.h"

namespace restic::tools {

std::string help_text() {
  constexpr std::size_t kColumn = 30;
  std::string text =
      "mount.restic REPOSITORY MOUNTPOINT [-o OPTION[,OPTION...]] [-f] [-v]\n"
      "\n"
      "Makes a restic repository a folder. REPOSITORY is rclone:REMOTE:PATH or a local path;\n"
      "without it, RESTIC_REPOSITORY or RESTIC_REPOSITORY_FILE. umount MOUNTPOINT ends it.\n"
      "\n"
      "  -f, --foreground            stay in the foreground\n"
      "  -v, --verbose               log more\n"
      "  -r, -w                      the same as -o ro and -o rw\n"
      "  -s                          ignore unknown options\n"
      "  -N NS                       mount in this mount namespace: a process id or a path\n"
      "  -n, -t TYPE                 accepted for mount(8)\n"
      "  -h, --help                  show this help\n"
      "  -V, --version               show the version\n"
      "\n"
      "Options of -o, besides the generic ones of mount(8):\n";
  for (const OptionHelp& option : option_help()) {
    std::string left = "  " + std::string(option.name);
    if (!option.value.empty()) left += "=" + std::string(option.value);
    left.resize(std::max(kColumn, left.size() + 2), ' ');
    text += left + std::string(option.help) + "\n";
  }
  return text + "\nThe manual has it all: man mount.restic\n";
}

std::string version_text() { return "mount.restic " RESTIC_VERSION "\n"; }

}  // namespace restic::tools
