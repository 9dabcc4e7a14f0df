// SPDX-License-Identifier: MIT
#include "base/shell_words.h"

#include "base/error.h"

namespace restic {
namespace {

constexpr std::string_view kSpace = " \t\n\r\v\f";

// Reads one word that starts at `at` and leaves `at` behind it.
std::string read_word(std::string_view line, std::size_t& at) {
  std::string word;
  char quote = 0;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    if (quote == 0 && kSpace.find(c) != std::string_view::npos) return word;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'') {
      if (at + 1 == line.size()) throw Error(Errc::Usage, "a backslash at the end quotes nothing");
      const char next = line[at + 1];
      if (quote == '"' && next != '"' && next != '\\') word += c;
      word += next;
      ++at;
    } else {
      word += c;
    }
  }
  if (quote != 0) throw Error(Errc::Usage, std::string("the quote ") + quote + " is not closed");
  return word;
}

}  // namespace

std::vector<std::string> split_shell_words(std::string_view line) {
  std::vector<std::string> words;
  for (std::size_t at = line.find_first_not_of(kSpace); at < line.size();
       at = line.find_first_not_of(kSpace, at)) {
    words.push_back(read_word(line, at));
  }
  return words;
}

}  // namespace restic
