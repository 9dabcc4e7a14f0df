// SPDX-License-Identifier: MIT
#include "tools/umount_options.h"

#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "tools/quantity.h"

namespace restic::tools {
namespace {

class Reader {
 public:
  explicit Reader(const std::vector<std::string>& args) : args_(args) {}

  UmountOptions read() {
    while (next_ < args_.size()) {
      const std::string& word = args_[next_++];
      if (only_places_ || word.size() < 2 || word[0] != '-') {
        take_place(word);
      } else if (word == "--") {
        only_places_ = true;
      } else if (word[1] == '-') {
        take_long(word);
      } else {
        take_flags(word);
      }
    }
    if (options_.mountpoint.empty() && !options_.help && !options_.version) {
      throw Error(Errc::Usage, "which mountpoint? See umount.restic -h");
    }
    return options_;
  }

 private:
  void take_place(const std::string& word) {
    if (!options_.mountpoint.empty()) throw Error(Errc::Usage, "one mountpoint at a time");
    options_.mountpoint = word;
  }

  void take_long(const std::string& word) {
    constexpr std::string_view kTimeout = "--timeout=";
    if (word == "--help") {
      options_.help = true;
    } else if (word == "--version") {
      options_.version = true;
    } else if (word.starts_with(kTimeout)) {
      options_.timeout = parse_duration(word.substr(kTimeout.size()));
    } else if (word == "--timeout") {
      options_.timeout = parse_duration(argument("--timeout"));
    } else {
      throw Error(Errc::Usage, "unknown option " + word);
    }
  }

  void take_flags(const std::string& word) {
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char flag = word[at];
      const std::string rest = word.substr(at + 1);
      switch (flag) {
        case 'n':  // mount(8)'s own list of mounts is the kernel's today
        case 'r':  // read-only instead of unmounted would keep nothing safer
        case 'i':
          break;
        case 'f':
          options_.force = true;
          break;
        case 'l':
          options_.lazy = true;
          break;
        case 'v':
          options_.verbose = true;
          break;
        case 'h':
          options_.help = true;
          break;
        case 'V':
          options_.version = true;
          break;
        case 'N':
          options_.name_space = rest.empty() ? argument("-N") : rest;
          return;
        case 't':
          if (rest.empty()) argument("-t");
          return;
        default:
          throw Error(Errc::Usage, std::string("unknown option -") + flag);
      }
    }
  }

  std::string argument(const char* option) {
    if (next_ == args_.size()) throw Error(Errc::Usage, std::string(option) + " needs an argument");
    return args_[next_++];
  }

  const std::vector<std::string>& args_;
  std::size_t next_ = 0;
  bool only_places_ = false;
  UmountOptions options_;
};

}  // namespace

UmountOptions read_umount_options(const std::vector<std::string>& args) { return Reader(args).read(); }

std::string umount_help_text() {
  return "usage: umount.restic [-flv] [--timeout=DURATION] MOUNTPOINT\n"
         "\n"
         "Commits what was copied into new/, waits until it is durable in the repository, unmounts.\n"
         "\n"
         "  -v                  say what is done\n"
         "  -l                  detach at once; the mount commits on its own and ends when nobody uses it\n"
         "  -f                  cut off whoever uses it; what is not durable is committed afterwards if it "
         "can be\n"
         "  --timeout=DURATION  wait no longer (\"90s\", \"5m\"); what is not durable then is kept for the "
         "next mount\n"
         "  -n, -r, -i, -t TYPE taken because umount(8) passes them\n"
         "  -N NS               in another mount namespace: a process id or a path\n";
}

}  // namespace restic::tools
